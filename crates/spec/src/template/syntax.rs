//! The parsed form of a template. Offsets are bytes from the template's start.

use std::sync::Arc;

use super::value::Value;

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(Box<str>),
    /// `${{ pipeline }}`: printed, unless it declares or assigns a variable.
    Action(Pipeline),
    /// `if` and `with`, whose branches are tried in order.
    Branches {
        /// The value becomes the dot.
        with: bool,
        branches: Vec<(Pipeline, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    Range {
        pipeline: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
    /// `template` and `block`.
    Include {
        offset: usize,
        name: Arc<str>,
        pipeline: Option<Pipeline>,
    },
}

/// `$x := a | b | c`.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub offset: usize,
    /// At most two, and two only in `range`.
    pub variables: Vec<Arc<str>>,
    /// `=` instead of `:=`.
    pub assigns: bool,
    pub commands: Vec<Command>,
}

/// A word and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub word: Operand,
    pub arguments: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub offset: usize,
    pub term: Term,
    /// `.a.b` behind the term.
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub offset: usize,
    pub name: Box<str>,
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    Literal(Value),
    Nil,
    /// `.`, also in front of the fields of `.a.b`.
    Dot,
    /// `$x`; the name is with its `$`.
    Variable(Arc<str>),
    /// A function, or a variable that the context provides.
    Name(Box<str>),
    Group(Box<Pipeline>),
}

/// What is wrong, by offset; becomes a [`super::TemplateError`] once the text is at hand.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub offset: usize,
    pub message: String,
    /// Not an error: a static evaluation met something that is only known later.
    pub dynamic: bool,
}

impl Fault {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into(), dynamic: false }
    }
}
