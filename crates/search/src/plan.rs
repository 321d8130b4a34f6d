//! From a [`Query`] to a [`Plan`]: a list of simple queries, each a scope and a pattern, of which one must hold.
//!
//! Every value is checked here; whoever has a plan can evaluate it without a further mistake in the query.

mod filters;
mod values;

use crate::error::{Error, ErrorKind, Span};
use crate::language::Language;
use crate::limit;
use crate::regexp::{Compiler, Matcher, Subject};
use crate::syntax::{Filter, Node, Place, Query};

/// What a query asks for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// At least one.
    pub queries: Vec<SimpleQuery>,
    /// Most results; nothing when all are wanted, which is the default.
    pub count: Option<u64>,
    pub select: Option<Select>,
}

/// A query without `or` between its filters.
#[derive(Clone, Debug)]
pub struct SimpleQuery {
    pub scope: Scope,
    pub pattern: Option<PatternTree>,
}

/// The filters of a simple query. All of them must hold.
#[derive(Clone, Debug)]
pub struct Scope {
    pub repositories: Vec<RepositoryFilter>,
    /// Nothing stands for the default branch.
    pub revisions: Vec<Revision>,
    pub files: Vec<FileFilter>,
    pub fork: Flag,
    pub archived: Flag,
    /// Nothing when both are wanted.
    pub visibility: Option<Visibility>,
    /// Nothing when the query does not say.
    pub types: Option<Types>,
}

/// What must be so of a repository.
#[derive(Clone, Debug)]
pub enum RepositoryFilter {
    Name {
        matcher: Matcher,
        negated: bool,
    },
    /// A file that fits both; at least one of them is there.
    HasFile {
        path: Option<Matcher>,
        content: Option<Matcher>,
        negated: bool,
    },
    Topic {
        topic: String,
        negated: bool,
    },
}

/// What must be so of a file.
#[derive(Clone, Debug)]
pub enum FileFilter {
    Path { matcher: Matcher, negated: bool },
    Language { language: &'static Language, negated: bool },
    Content { matcher: Matcher, negated: bool },
}

/// A revision that a query names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// A branch, a tag or a commit.
    Named(String),
    /// `*glob`: all references that fit.
    Glob(String),
    /// `*!glob` or `^name`: not these.
    Exclude(String),
}

/// Whether repositories of a kind are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    Yes,
    No,
    Only,
}

impl Flag {
    /// Whether a repository may stay, being of the kind or not.
    pub fn admits(self, is_of_kind: bool) -> bool {
        match self {
            Self::Yes => true,
            Self::No => !is_of_kind,
            Self::Only => is_of_kind,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Public,
    Private,
}

/// Where patterns are looked for: the values of `type:`, united.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types {
    /// The names of repositories.
    pub repo: bool,
    /// The paths of files.
    pub path: bool,
    /// The contents of files.
    pub file: bool,
}

/// What results are reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    Repo,
    File,
    Content,
}

#[derive(Clone, Debug)]
pub enum PatternTree {
    Leaf(Leaf),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
}

/// One pattern.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Lines start and end at `^` and `$`.
    pub content: Matcher,
    /// The same for names and paths; nothing when it came from `content:`.
    pub name: Option<Matcher>,
}

/// Checks a query and normalises it.
pub fn plan(query: &Query) -> Result<Plan, Error> {
    let conjunctions = expanded(&query.root)?;
    let mut compiler = Compiler::new(expressions(&query.root));
    let mut count = Global::default();
    let mut select = Global::default();
    let mut queries = Vec::new();
    let mut contradiction = None;
    for conjunction in &conjunctions {
        let mut filters = filters::Filters::collect(&conjunction.filters)?;
        count.add(filters.count.take(), "count")?;
        select.add(filters.select.take(), "select")?;
        match filters.simple(&conjunction.patterns, &mut compiler) {
            Ok(query) => queries.push(query),
            // One branch that cannot hold leaves the others as they are.
            Err(error) if error.kind == ErrorKind::Contradiction => {
                contradiction.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match contradiction {
        Some(error) if queries.is_empty() => return Err(error),
        _ => {}
    }
    let plan = Plan {
        queries,
        count: count.value.flatten().and_then(|(count, _)| count),
        select: select.value.flatten().map(|(select, _)| select),
    };
    Ok(plan)
}

/// A value that must be the same in each simple query.
struct Global<T> {
    /// Nothing before the first simple query.
    value: Option<Option<(T, Span)>>,
}

impl<T> Default for Global<T> {
    fn default() -> Self {
        Self { value: None }
    }
}

impl<T: PartialEq> Global<T> {
    fn add(&mut self, found: Option<(T, Span)>, name: &str) -> Result<(), Error> {
        let Some(first) = &self.value else {
            self.value = Some(found);
            return Ok(());
        };
        if first.as_ref().map(|(value, _)| value) == found.as_ref().map(|(value, _)| value) {
            return Ok(());
        }
        let span = found.as_ref().or(first.as_ref()).map_or(Span::default(), |(_, span)| *span);
        Err(Error::new(
            ErrorKind::Value,
            span,
            format!(
                "`{name}:` holds for all of the query, and here is in one branch of an `or`: put \
                 it in front, outside the parentheses"
            ),
        ))
    }
}

/// What must hold together.
#[derive(Clone, Default)]
struct Conjunction<'a> {
    filters: Vec<&'a Filter>,
    patterns: Vec<&'a Node>,
}

/// Multiplies the `or`s around filters out. An `or` of patterns alone stays as it is.
fn expanded(node: &Node) -> Result<Vec<Conjunction<'_>>, Error> {
    if !node.has_filter() {
        return Ok(vec![Conjunction { filters: Vec::new(), patterns: vec![node] }]);
    }
    let limited = |count: usize| {
        if count <= limit::DISJUNCTS {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Limit,
            node.span(),
            format!(
                "the `or`s of the query stand for more than {} simple queries: join alternatives \
                 into one expression such as `repo:^(a|b)$`",
                limit::DISJUNCTS
            ),
        ))
    };
    match node {
        Node::Filter(filter) => {
            Ok(vec![Conjunction { filters: vec![filter], patterns: Vec::new() }])
        }
        Node::Or(nodes) => {
            let mut all = Vec::new();
            for node in nodes {
                all.extend(expanded(node)?);
                limited(all.len())?;
            }
            Ok(all)
        }
        Node::And(nodes) => {
            let mut all = vec![Conjunction::default()];
            for node in nodes {
                let right = expanded(node)?;
                limited(all.len() * right.len())?;
                let pairs =
                    all.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
                all = pairs.map(|(left, right)| left.with(right)).collect();
            }
            Ok(all)
        }
        Node::Not(_) | Node::Pattern(_) => unreachable!("neither holds a filter"),
    }
}

impl<'a> Conjunction<'a> {
    fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.filters.extend(&other.filters);
        both.patterns.extend(&other.patterns);
        both
    }
}

/// How many expressions a query can need: a pattern has one for names and one for contents, each in two cases.
fn expressions(node: &Node) -> usize {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().map(expressions).sum(),
        Node::Not(node) => expressions(node),
        Node::Filter(_) => 2,
        Node::Pattern(_) => 4,
    }
}

fn pattern_tree(
    nodes: &[&Node],
    is_case_sensitive: bool,
    compiler: &mut Compiler,
) -> Result<Option<PatternTree>, Error> {
    let mut trees = Vec::new();
    for node in nodes {
        trees.push(tree(node, is_case_sensitive, compiler)?);
    }
    Ok(match trees.len() {
        0 | 1 => trees.pop(),
        _ => Some(PatternTree::And(trees)),
    })
}

fn tree(
    node: &Node,
    is_case_sensitive: bool,
    compiler: &mut Compiler,
) -> Result<PatternTree, Error> {
    let mut all = |nodes: &[Node]| {
        let trees = nodes.iter().map(|node| tree(node, is_case_sensitive, compiler));
        trees.collect::<Result<Vec<_>, _>>()
    };
    Ok(match node {
        Node::And(nodes) => PatternTree::And(all(nodes)?),
        Node::Or(nodes) => PatternTree::Or(all(nodes)?),
        Node::Not(node) => PatternTree::Not(Box::new(tree(node, is_case_sensitive, compiler)?)),
        Node::Pattern(pattern) => {
            let mut matcher = |subject| {
                let (text, syntax) = (&pattern.text, pattern.syntax);
                compiler.compile(text, syntax, is_case_sensitive, subject, pattern.span)
            };
            let content = matcher(Subject::Content)?;
            let name = match pattern.place {
                Place::Anywhere => Some(matcher(Subject::Name)?),
                Place::Content => None,
            };
            PatternTree::Leaf(Leaf { content, name })
        }
        Node::Filter(_) => unreachable!("filters were taken out of the patterns"),
    })
}
