//! Builds the parsed form of a template from its tokens. What is nested is bounded, so that hostile text cannot exhaust the
//! stack, here or in the evaluator.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::functions;
use super::lexer::{Lexer, OPEN, Token, TokenKind};
use super::literal;
use super::syntax::{Command, Fault, Field, Node, Operand, Pipeline, Term};
use super::value::Value;

/// Deepest nesting of groups and blocks together.
const DEPTH: usize = 100;

const KEYWORDS: [&str; 11] = [
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
];

/// What a template consists of.
#[derive(Clone, Debug, Default)]
pub(super) struct Parsed {
    pub nodes: Vec<Node>,
    pub definitions: BTreeMap<Arc<str>, Vec<Node>>,
    /// Names that are not functions, with the field behind them: variables that the context must have.
    pub mentions: Vec<Mention>,
    /// The dot of the whole template may be used.
    pub uses_dot: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Mention {
    pub offset: usize,
    pub name: Box<str>,
    pub field: Option<Field>,
}

pub(super) fn parse(text: &str) -> Result<Parsed, Fault> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        ahead: VecDeque::new(),
        depth: 0,
        ranges: 0,
        scope: Variables::new(),
        parsed: Parsed::default(),
    };
    let (nodes, end) = parser.nodes(true)?;
    match end {
        Stop::End => {}
        Stop::Keyword(token) => {
            let message = format!("`{}` without anything that it belongs to", token.text);
            return Err(Fault::new(token.offset, message));
        }
    }
    parser.parsed.nodes = nodes;
    Ok(parser.parsed)
}

/// What ends a list of nodes.
enum Stop<'a> {
    End,
    /// `end` or `else`; the keyword is past, what follows it is not.
    Keyword(Token<'a>),
}

/// The names of the variables that exist where the parser is.
struct Variables {
    stack: Vec<Arc<str>>,
    count: HashMap<Arc<str>, usize>,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: VecDeque<Token<'a>>,
    depth: usize,
    ranges: usize,
    scope: Variables,
    parsed: Parsed,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Result<Token<'a>, Fault> {
        match self.ahead.pop_front() {
            Some(token) => Ok(token),
            None => self.lexer.next(),
        }
    }

    fn peek(&mut self, index: usize) -> Result<&Token<'a>, Fault> {
        while self.ahead.len() <= index {
            let token = self.lexer.next()?;
            self.ahead.push_back(token);
        }
        Ok(&self.ahead[index])
    }

    fn peek_kind(&mut self, index: usize) -> Result<TokenKind, Fault> {
        Ok(self.peek(index)?.kind.clone())
    }

    fn close(&mut self, what: &str) -> Result<(), Fault> {
        let token = self.next()?;
        if token.kind == TokenKind::Close {
            return Ok(());
        }
        Err(Fault::new(token.offset, format!("`{}` must not follow `{what}`", token.text)))
    }

    fn deeper(&mut self, offset: usize) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Fault::new(offset, format!("the nesting is deeper than {DEPTH}")));
        }
        Ok(())
    }

    /// Nodes up to `end`, `else` or the end of the text.
    fn nodes(&mut self, top: bool) -> Result<(Vec<Node>, Stop<'a>), Fault> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                TokenKind::End => return Ok((nodes, Stop::End)),
                TokenKind::Text => nodes.push(Node::Text(token.text.into())),
                _ => {
                    let keyword = self.peek(0)?.clone();
                    let is_keyword = keyword.kind == TokenKind::Name;
                    match keyword.text {
                        "end" | "else" if is_keyword => {
                            self.next()?;
                            return Ok((nodes, Stop::Keyword(keyword)));
                        }
                        "define" if is_keyword => {
                            self.next()?;
                            if !top {
                                let message = "`define` must not stand inside of anything";
                                return Err(Fault::new(keyword.offset, message));
                            }
                            self.define(&keyword)?;
                        }
                        text if is_keyword && KEYWORDS.contains(&text) && text != "nil" => {
                            self.next()?;
                            nodes.push(self.control(&keyword)?);
                        }
                        _ => {
                            let pipeline = self.pipeline(token.offset, false)?;
                            self.close("the expression")?;
                            nodes.push(Node::Action(pipeline));
                        }
                    }
                }
            }
        }
    }

    fn control(&mut self, keyword: &Token<'a>) -> Result<Node, Fault> {
        match keyword.text {
            "if" | "with" => self.branches(keyword),
            "range" => self.range(keyword),
            "template" => self.include(keyword),
            "block" => self.block(keyword),
            _ => {
                self.close(keyword.text)?;
                if self.ranges == 0 {
                    let message = format!("`{}` outside of `range`", keyword.text);
                    return Err(Fault::new(keyword.offset, message));
                }
                Ok(if keyword.text == "break" { Node::Break } else { Node::Continue })
            }
        }
    }

    fn unclosed(keyword: &Token<'a>) -> Fault {
        let name = keyword.text;
        Fault::new(keyword.offset, format!("`{name}` without `{OPEN} end }}}}`"))
    }

    fn branches(&mut self, keyword: &Token<'a>) -> Result<Node, Fault> {
        self.deeper(keyword.offset)?;
        let mark = self.scope.stack.len();
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        let mut chained = true;
        while chained {
            let pipeline = self.pipeline(keyword.offset, false)?;
            self.close(keyword.text)?;
            let (nodes, stop) = self.nodes(false)?;
            branches.push((pipeline, nodes));
            (otherwise, chained) = self.rest(keyword, stop, true)?;
        }
        self.scope.pop_to(mark);
        self.depth -= 1;
        Ok(Node::Branches { with: keyword.text == "with", branches, otherwise })
    }

    /// What follows the body of a block: nothing, an `else` branch, or, where it may be, `else if`, of which only the keyword
    /// is past.
    fn rest(
        &mut self,
        keyword: &Token<'a>,
        stop: Stop<'a>,
        may_chain: bool,
    ) -> Result<(Vec<Node>, bool), Fault> {
        let Stop::Keyword(token) = stop else { return Err(Self::unclosed(keyword)) };
        if token.text == "end" {
            self.close("end")?;
            return Ok((Vec::new(), false));
        }
        let next = self.peek(0)?;
        if may_chain && next.kind == TokenKind::Name && next.text == keyword.text {
            self.next()?;
            return Ok((Vec::new(), true));
        }
        let chained = self.peek(0)?.clone();
        // `else with` in an `if` begins a block of its own, which ends both.
        if chained.kind == TokenKind::Name && matches!(chained.text, "if" | "with") {
            let message = format!("`else {}` must not follow `{}`", chained.text, keyword.text);
            return Err(Fault::new(chained.offset, message));
        }
        self.close("else")?;
        let (nodes, stop) = self.nodes(false)?;
        match stop {
            Stop::Keyword(token) if token.text == "end" => self.close("end")?,
            Stop::Keyword(token) => {
                return Err(Fault::new(token.offset, "a second `else`; expected `end`"));
            }
            Stop::End => return Err(Self::unclosed(keyword)),
        }
        Ok((nodes, false))
    }

    fn range(&mut self, keyword: &Token<'a>) -> Result<Node, Fault> {
        self.deeper(keyword.offset)?;
        let mark = self.scope.stack.len();
        let pipeline = self.pipeline(keyword.offset, true)?;
        self.close("range")?;
        self.ranges += 1;
        let (body, stop) = self.nodes(false)?;
        self.ranges -= 1;
        let (otherwise, _) = self.rest(keyword, stop, false)?;
        self.scope.pop_to(mark);
        self.depth -= 1;
        Ok(Node::Range { pipeline, body, otherwise })
    }

    fn name(&mut self, what: &str) -> Result<Arc<str>, Fault> {
        let token = self.next()?;
        match token.kind {
            TokenKind::Quoted => match literal::quoted(token.text) {
                Ok(name) => Ok(name.into()),
                Err(message) => Err(Fault::new(token.offset, message)),
            },
            TokenKind::Raw => Ok(literal::raw(token.text).into()),
            _ => Err(Fault::new(token.offset, format!("`{what}` needs a name in quotes"))),
        }
    }

    /// A named body: it sees no variables from outside.
    fn body(&mut self, keyword: &Token<'a>, name: Arc<str>) -> Result<(), Fault> {
        self.deeper(keyword.offset)?;
        let scope = std::mem::replace(&mut self.scope, Variables::new());
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, stop) = self.nodes(false)?;
        match stop {
            Stop::Keyword(token) if token.text == "end" => self.close("end")?,
            Stop::Keyword(token) => {
                let message = format!("`else` must not stand in `{}`", keyword.text);
                return Err(Fault::new(token.offset, message));
            }
            Stop::End => return Err(Self::unclosed(keyword)),
        }
        (self.scope, self.ranges) = (scope, ranges);
        self.depth -= 1;
        if self.parsed.definitions.insert(name.clone(), nodes).is_some() {
            let message = format!("there is a second template with the name {name:?}");
            return Err(Fault::new(keyword.offset, message));
        }
        Ok(())
    }

    fn define(&mut self, keyword: &Token<'a>) -> Result<(), Fault> {
        let name = self.name("define")?;
        self.close("define")?;
        self.body(keyword, name)
    }

    fn include(&mut self, keyword: &Token<'a>) -> Result<Node, Fault> {
        let name = self.name("template")?;
        let pipeline = match self.peek_kind(0)? {
            TokenKind::Close => None,
            _ => Some(self.pipeline(keyword.offset, false)?),
        };
        self.close("template")?;
        Ok(Node::Include { offset: keyword.offset, name, pipeline })
    }

    fn block(&mut self, keyword: &Token<'a>) -> Result<Node, Fault> {
        let name = self.name("block")?;
        let pipeline = Some(self.pipeline(keyword.offset, false)?);
        self.close("block")?;
        self.body(keyword, name.clone())?;
        Ok(Node::Include { offset: keyword.offset, name, pipeline })
    }

    /// A pipeline up to what closes it, which is left.
    fn pipeline(&mut self, offset: usize, in_range: bool) -> Result<Pipeline, Fault> {
        let mut variables = Vec::new();
        let mut assigns = false;
        while self.peek_kind(0)? == TokenKind::Variable {
            match self.peek_kind(1)? {
                TokenKind::Declare | TokenKind::Assign => {
                    let variable = self.next()?;
                    assigns = self.next()?.kind == TokenKind::Assign;
                    variables.push(variable);
                    break;
                }
                TokenKind::Comma if in_range && variables.is_empty() => {
                    variables.push(self.next()?);
                    self.next()?;
                    if self.peek_kind(0)? != TokenKind::Variable
                        || !matches!(self.peek_kind(1)?, TokenKind::Declare | TokenKind::Assign)
                    {
                        let message = "`range` declares variables as `$index, $item := …`";
                        return Err(Fault::new(self.peek(0)?.offset, message));
                    }
                }
                TokenKind::Comma => {
                    return Err(Fault::new(self.peek(1)?.offset, "there are too many variables"));
                }
                _ => break,
            }
        }
        let variables: Vec<Arc<str>> = variables.iter().map(|token| token.text.into()).collect();
        // As in Go, whether an assignment has a variable to assign to is only known when it is run.
        variables.iter().for_each(|name| self.scope.push(name.clone()));
        let mut commands = Vec::new();
        loop {
            commands.push(self.command(offset, commands.is_empty())?);
            if self.peek_kind(0)? != TokenKind::Pipe {
                return Ok(Pipeline { offset, variables, assigns, commands });
            }
            self.next()?;
            // As in Go, a pipe may be the last of a pipeline.
            if matches!(self.peek_kind(0)?, TokenKind::Close | TokenKind::GroupClose) {
                return Ok(Pipeline { offset, variables, assigns, commands });
            }
        }
    }

    fn command(&mut self, offset: usize, first: bool) -> Result<Command, Fault> {
        let mut operands = Vec::new();
        loop {
            let token = self.peek(0)?;
            let (kind, at, text) = (token.kind.clone(), token.offset, token.text);
            match kind {
                TokenKind::Close | TokenKind::GroupClose | TokenKind::Pipe => break,
                _ if !operands.is_empty() && !token.spaced => {
                    let message = format!("`{text}` needs a space in front of it");
                    return Err(Fault::new(at, message));
                }
                _ => operands.push(self.operand()?),
            }
        }
        let mut operands = operands.into_iter();
        let Some(word) = operands.next() else {
            let at = self.peek(0)?.offset.max(offset);
            return Err(Fault::new(at, "an expression is missing"));
        };
        let plain = matches!(word.term, Term::Literal(_) | Term::Nil | Term::Dot);
        if !first && plain && word.fields.is_empty() {
            return Err(Fault::new(word.offset, "only a function may stand behind `|`"));
        }
        Ok(Command { word, arguments: operands.collect() })
    }

    fn operand(&mut self) -> Result<Operand, Fault> {
        let token = self.next()?;
        let offset = token.offset;
        let mut fields = Vec::new();
        let literal = |value: Result<Value, String>| match value {
            Ok(value) => Ok(Term::Literal(value)),
            Err(message) => Err(Fault::new(offset, message)),
        };
        let term = match token.kind {
            TokenKind::Name => match token.text {
                "true" => Term::Literal(Value::Bool(true)),
                "false" => Term::Literal(Value::Bool(false)),
                "nil" => Term::Nil,
                name if KEYWORDS.contains(&name) => {
                    let message = format!("`{name}` must stand first behind `{OPEN}`");
                    return Err(Fault::new(offset, message));
                }
                name => Term::Name(name.into()),
            },
            TokenKind::Number => literal(literal::number(token.text))?,
            TokenKind::Character => literal(literal::character(token.text))?,
            TokenKind::Quoted => {
                literal(literal::quoted(token.text).map(|text| Value::text(&text)))?
            }
            TokenKind::Raw => literal(Ok(Value::text(&literal::raw(token.text))))?,
            TokenKind::Dot => {
                self.parsed.uses_dot = true;
                Term::Dot
            }
            TokenKind::Field => {
                self.parsed.uses_dot = true;
                fields.push(Field { offset, name: token.text[1..].into() });
                Term::Dot
            }
            TokenKind::Variable => {
                if !self.scope.has(token.text) {
                    return Err(undefined(offset, token.text));
                }
                self.parsed.uses_dot |= token.text == "$";
                Term::Variable(token.text.into())
            }
            TokenKind::GroupOpen => self.group(offset)?,
            _ => {
                let message = format!("`{}` must not stand here", token.text);
                return Err(Fault::new(offset, message));
            }
        };
        while let Token { kind: TokenKind::Field, spaced: false, .. } = self.peek(0)? {
            let field = self.next()?;
            fields.push(Field { offset: field.offset, name: field.text[1..].into() });
        }
        let is_plain = matches!(term, Term::Literal(_) | Term::Nil);
        if (is_plain || (matches!(term, Term::Dot) && token.kind == TokenKind::Dot))
            && let Some(field) = fields.first()
        {
            let message = format!("`.{}` must not follow `{}`", field.name, token.text);
            return Err(Fault::new(field.offset, message));
        }
        if let Term::Name(name) = &term
            && !functions::exists(name)
        {
            let field = fields.first().cloned();
            self.parsed.mentions.push(Mention { offset, name: name.clone(), field });
        }
        Ok(Operand { offset, term, fields })
    }

    fn group(&mut self, offset: usize) -> Result<Term, Fault> {
        self.deeper(offset)?;
        let pipeline = self.pipeline(offset, false)?;
        if self.next()?.kind != TokenKind::GroupClose {
            return Err(Fault::new(offset, "`(` without `)`"));
        }
        self.depth -= 1;
        Ok(Term::Group(Box::new(pipeline)))
    }
}

fn undefined(offset: usize, name: &str) -> Fault {
    Fault::new(offset, format!("there is no variable `{name}`; it is declared with `{name} := …`"))
}

impl Variables {
    fn new() -> Self {
        let mut variables = Self { stack: Vec::new(), count: HashMap::new() };
        variables.push("$".into());
        variables
    }

    fn push(&mut self, name: Arc<str>) {
        *self.count.entry(name.clone()).or_default() += 1;
        self.stack.push(name);
    }

    fn has(&self, name: &str) -> bool {
        self.count.get(name).is_some_and(|count| *count > 0)
    }

    fn pop_to(&mut self, length: usize) {
        for name in self.stack.drain(length..) {
            if let Some(count) = self.count.get_mut(&name) {
                *count -= 1;
            }
        }
    }
}
