//! Globs as `matches` and `published` know them: `*` and `**` are anything, slashes included, `?` is one character, `[a-z]` and
//! `[!a-z]` one of a set, `{a,b}` one of several patterns, and `\` takes the meaning off what follows.
//!
//! A pattern becomes a small automaton whose states are walked side by side, so that no pattern makes a match slow.

/// Longest pattern, in characters.
const PATTERN: usize = 1024;
/// Deepest nesting of braces.
const DEPTH: usize = 16;

/// A parsed pattern.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    states: Vec<State>,
}

#[derive(Clone, Debug)]
enum State {
    /// One character, then the next state.
    One(Set),
    /// Any number of characters, then the next state.
    Many,
    /// Each of these states.
    Fork(Vec<usize>),
    Jump(usize),
    Match,
}

#[derive(Clone, Debug)]
enum Set {
    Any,
    Literal(char),
    Ranges { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Parses a pattern, or says what is wrong with it.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.chars().take(PATTERN + 1).count() > PATTERN {
            return Err(format!("the glob is longer than {PATTERN} characters"));
        }
        let mut compiler = Compiler { rest: pattern.chars(), pattern, states: Vec::new() };
        let end = compiler.sequence(0)?;
        debug_assert!(end.is_none(), "only braces end a sequence early");
        compiler.states.push(State::Match);
        Ok(Self { states: compiler.states })
    }

    /// Whether all of the text fits.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut now = Walk::new(self.states.len());
        now.enter(&self.states, 0);
        let mut then = Walk::new(self.states.len());
        for c in text.chars() {
            then.clear();
            for &index in &now.list {
                match &self.states[index] {
                    State::One(set) if set.has(c) => then.enter(&self.states, index + 1),
                    State::Many => then.enter(&self.states, index),
                    _ => {}
                }
            }
            if then.list.is_empty() {
                return false;
            }
            std::mem::swap(&mut now, &mut then);
        }
        now.list.iter().any(|&index| matches!(self.states[index], State::Match))
    }

    /// How much work a match is, in steps of the template's budget.
    pub(crate) fn work(&self, text: &str) -> usize {
        text.len().saturating_mul(self.states.len()) / 64
    }
}

impl Set {
    fn has(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => *literal == c,
            Self::Ranges { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

/// The states that the automaton is in.
struct Walk {
    list: Vec<usize>,
    is_in: Vec<bool>,
    pending: Vec<usize>,
}

impl Walk {
    fn new(states: usize) -> Self {
        Self { list: Vec::new(), is_in: vec![false; states], pending: Vec::new() }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.is_in.fill(false);
    }

    /// Enters a state and those that follow it without a character.
    fn enter(&mut self, states: &[State], state: usize) {
        self.pending.push(state);
        while let Some(state) = self.pending.pop() {
            if std::mem::replace(&mut self.is_in[state], true) {
                continue;
            }
            match &states[state] {
                State::Fork(targets) => self.pending.extend(targets),
                State::Jump(target) => self.pending.push(*target),
                State::Many => {
                    self.list.push(state);
                    self.pending.push(state + 1);
                }
                State::One(_) | State::Match => self.list.push(state),
            }
        }
    }
}

struct Compiler<'a> {
    rest: std::str::Chars<'a>,
    pattern: &'a str,
    states: Vec<State>,
}

impl Compiler<'_> {
    /// Compiles up to the end, or inside braces up to `,` or `}`, which it returns.
    fn sequence(&mut self, depth: usize) -> Result<Option<char>, String> {
        while let Some(c) = self.rest.next() {
            let state = match c {
                ',' | '}' if depth > 0 => return Ok(Some(c)),
                '*' => State::Many,
                '?' => State::One(Set::Any),
                '[' => State::One(self.set()?),
                '{' => {
                    self.alternatives(depth + 1)?;
                    continue;
                }
                '\\' => match self.rest.next() {
                    Some(c) => State::One(Set::Literal(c)),
                    None => return Err(self.wrong("ends in `\\`")),
                },
                _ => State::One(Set::Literal(c)),
            };
            self.states.push(state);
        }
        Ok(None)
    }

    fn wrong(&self, what: &str) -> String {
        format!("the glob `{}` {what}", self.pattern)
    }

    fn alternatives(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(self.wrong("has too many braces inside each other"));
        }
        let fork = self.states.len();
        self.states.push(State::Fork(Vec::new()));
        let mut starts = Vec::new();
        let mut ends = Vec::new();
        loop {
            starts.push(self.states.len());
            let stop = self.sequence(depth)?;
            ends.push(self.states.len());
            self.states.push(State::Jump(0));
            match stop {
                Some(',') => {}
                Some(_) => break,
                None => return Err(self.wrong("has `{` without `}`")),
            }
        }
        let after = self.states.len();
        for end in ends {
            self.states[end] = State::Jump(after);
        }
        self.states[fork] = State::Fork(starts);
        Ok(())
    }

    fn set(&mut self) -> Result<Set, String> {
        let mut negated = false;
        let mut ranges: Vec<(char, char)> = Vec::new();
        let mut members: Vec<char> = Vec::new();
        let mut first = true;
        loop {
            let Some(c) = self.rest.next() else { return Err(self.wrong("has `[` without `]`")) };
            match c {
                '!' | '^' if first => negated = true,
                ']' => break,
                '\\' => match self.rest.next() {
                    Some(c) => members.push(c),
                    None => return Err(self.wrong("ends in `\\`")),
                },
                '-' if !members.is_empty() && !self.rest.as_str().starts_with(']') => {
                    let low = members.pop().unwrap_or(c);
                    let high = match self.rest.next() {
                        Some('\\') => self.rest.next(),
                        high => high,
                    };
                    let Some(high) = high else { return Err(self.wrong("has `[` without `]`")) };
                    if low > high {
                        return Err(self.wrong(&format!("has the backward range `{low}-{high}`")));
                    }
                    ranges.push((low, high));
                }
                _ => members.push(c),
            }
            first = false;
        }
        ranges.extend(members.into_iter().map(|c| (c, c)));
        if ranges.is_empty() {
            return Err(self.wrong("has an empty `[]`"));
        }
        Ok(Set::Ranges { negated, ranges })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_say() {
        let table = [
            ("github.com/a/b", "github.com/a/b", true),
            ("*", "a/b", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*.go", "a/b/c.go", true),
            ("**/*.go", "c.go", false),
            ("**/*.go", "a/c.go", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[abc-]", "-", true),
            ("{a,b*}c", "bbbc", true),
            ("{a,b*}c", "ac", true),
            ("{a,b*}c", "cc", false),
            ("{a{b,c},d}e", "ace", true),
            ("{,x}y", "y", true),
            ("a,b", "a,b", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("ü*", "übung", true),
        ];
        for (pattern, text, expected) in table {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn broken_patterns_are_explained() {
        for pattern in
            ["[a", "{a", "a\\", "[]", "[z-a]", "{a,{b}", &"{".repeat(40), &"a".repeat(2000)]
        {
            assert!(Glob::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_not_slow() {
        let glob = Glob::parse(&"*a".repeat(400)).unwrap();
        assert!(!glob.matches(&format!("{}b", "a".repeat(20_000))));
    }
}
