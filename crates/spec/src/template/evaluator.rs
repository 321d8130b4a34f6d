//! Runs a parsed template. Work, memory and depth are bounded, whatever the template and its variables are.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::limit;

use super::format;
use super::functions;
use super::parser::Parsed;
use super::syntax::{Command, Fault, Field, Node, Operand, Pipeline, Term};
use super::value::{List, Value};

/// Most steps of rendering one template; a step is a node, a word, or an item that is made.
const STEPS: u64 = 4_000_000;
/// Most bytes of text that the functions of one template may make.
const MADE_BYTES: usize = 8 * limit::RENDERED_BYTES;
/// Deepest nesting of blocks, groups and included templates together, which is what bounds the stack.
const DEPTH: usize = 200;

/// Where variables come from.
pub(super) trait Variables {
    /// The value, or why there is none.
    fn get(&self, name: &str) -> Result<Value, Missing>;

    /// The value of one field, where it is known although the whole variable is not.
    fn get_field(&self, _name: &str, _field: &str) -> Option<Value> {
        None
    }
}

pub(super) enum Missing {
    /// There is no such variable here.
    Unknown(String),
    /// There will be one when the step runs.
    Dynamic,
}

/// Renders a template.
pub(super) fn render(
    parsed: &Parsed,
    dot: Value,
    variables: &dyn Variables,
) -> Result<String, Fault> {
    let mut evaluator = Evaluator {
        parsed,
        variables,
        known: BTreeMap::new(),
        output: String::new(),
        locals: vec![("$".into(), dot.clone())],
        budget: Budget { steps: STEPS, bytes: MADE_BYTES },
        depth: 0,
    };
    evaluator.nodes(&dot, &parsed.nodes)?;
    Ok(evaluator.output)
}

/// What is left of the work that a template may do.
#[derive(Debug)]
pub(super) struct Budget {
    steps: u64,
    bytes: usize,
}

impl Budget {
    pub(super) fn steps(&mut self, count: usize) -> Result<(), String> {
        match self.steps.checked_sub(count as u64) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                Err(format!("the template takes more than {STEPS} steps"))
            }
        }
    }

    /// Room for a text that is about to be made.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), String> {
        match self.bytes.checked_sub(count) {
            Some(left) if count <= limit::RENDERED_BYTES => {
                self.bytes = left;
                Ok(())
            }
            _ => {
                let most = limit::RENDERED_BYTES >> 20;
                Err(format!("the template makes texts of more than {most} MiB"))
            }
        }
    }
}

enum Flow {
    Next,
    Break,
    Continue,
}

struct Evaluator<'a> {
    parsed: &'a Parsed,
    variables: &'a dyn Variables,
    /// Variables of the context that were asked for before.
    known: BTreeMap<&'a str, Value>,
    output: String,
    locals: Vec<(Arc<str>, Value)>,
    budget: Budget,
    depth: usize,
}

impl<'a> Evaluator<'a> {
    fn nodes(&mut self, dot: &Value, nodes: &'a [Node]) -> Result<Flow, Fault> {
        self.depth += 1;
        let mut flow = Flow::Next;
        for node in nodes {
            flow = self.node(dot, node)?;
            if !matches!(flow, Flow::Next) {
                break;
            }
        }
        self.depth -= 1;
        Ok(flow)
    }

    /// Refuses to go deeper where one more level begins.
    fn check_depth(&self, offset: usize) -> Result<(), Fault> {
        if self.depth < DEPTH {
            return Ok(());
        }
        let message = format!("blocks and templates are nested more than {DEPTH} deep");
        Err(Fault::new(offset, message))
    }

    fn node(&mut self, dot: &Value, node: &'a Node) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.print(0, text)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.variables.is_empty() {
                    match &value {
                        Value::Nil => self.print(pipeline.offset, "<no value>")?,
                        Value::Text(text) => self.print(pipeline.offset, text)?,
                        value => {
                            let text = format::plain(value);
                            self.print(pipeline.offset, &text)?;
                        }
                    }
                }
            }
            Node::Branches { with, branches, otherwise } => {
                let mark = self.locals.len();
                let flow = self.branches(dot, *with, branches, otherwise)?;
                self.locals.truncate(mark);
                return Ok(flow);
            }
            Node::Range { pipeline, body, otherwise } => {
                let mark = self.locals.len();
                let flow = self.range(dot, pipeline, body, otherwise)?;
                self.locals.truncate(mark);
                return Ok(flow);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Include { offset, name, pipeline } => {
                self.include(dot, *offset, name, pipeline.as_ref())?;
            }
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, offset: usize, text: &str) -> Result<(), Fault> {
        self.steps(offset, 1)?;
        if self.output.len() + text.len() > limit::RENDERED_BYTES {
            let most = limit::RENDERED_BYTES >> 20;
            return Err(Fault::new(offset, format!("the result is larger than {most} MiB")));
        }
        self.output.push_str(text);
        Ok(())
    }

    fn steps(&mut self, offset: usize, count: usize) -> Result<(), Fault> {
        self.budget.steps(count).map_err(|message| Fault::new(offset, message))
    }

    fn branches(
        &mut self,
        dot: &Value,
        with: bool,
        branches: &'a [(Pipeline, Vec<Node>)],
        otherwise: &'a [Node],
    ) -> Result<Flow, Fault> {
        for (pipeline, nodes) in branches {
            let value = self.pipeline(dot, pipeline)?;
            if value.is_true() {
                return self.nodes(if with { &value } else { dot }, nodes);
            }
        }
        self.nodes(dot, otherwise)
    }

    fn range(
        &mut self,
        dot: &Value,
        pipeline: &'a Pipeline,
        body: &'a [Node],
        otherwise: &'a [Node],
    ) -> Result<Flow, Fault> {
        let value = self.pipeline(dot, pipeline)?;
        let mark = self.locals.len();
        if !value.is_true() && matches!(value, Value::Nil | Value::List(_) | Value::Map(_)) {
            return self.nodes(dot, otherwise);
        }
        let mut looped = Loop { pipeline, body, mark };
        match &value {
            Value::List(List { items, .. }) => {
                for (index, item) in items.iter().enumerate() {
                    if !looped.turn(self, || Value::Integer(index as i64), item)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.iter() {
                    if !looped.turn(self, || Value::text(key), item)? {
                        break;
                    }
                }
            }
            Value::Integer(count) => {
                if pipeline.variables.len() > 1 {
                    let message = "`range` over a number has one variable";
                    return Err(Fault::new(pipeline.offset, message));
                }
                if *count <= 0 {
                    return self.nodes(dot, otherwise);
                }
                for number in 0..*count {
                    if !looped.turn(self, || Value::Nil, &Value::Integer(number))? {
                        break;
                    }
                }
            }
            other => {
                let message = format!("`range` needs a list or a map; this is {}", other.kind());
                return Err(Fault::new(pipeline.offset, message));
            }
        }
        Ok(Flow::Next)
    }

    fn include(
        &mut self,
        dot: &Value,
        offset: usize,
        name: &str,
        pipeline: Option<&'a Pipeline>,
    ) -> Result<(), Fault> {
        self.steps(offset, 1)?;
        self.check_depth(offset)?;
        let Some(nodes) = self.parsed.definitions.get(name) else {
            return Err(Fault::new(offset, format!("there is no template with the name {name:?}")));
        };
        let dot = match pipeline {
            None => Value::Nil,
            Some(pipeline) => self.pipeline(dot, pipeline)?,
        };
        let locals = std::mem::replace(&mut self.locals, vec![("$".into(), dot.clone())]);
        self.nodes(&dot, nodes)?;
        self.locals = locals;
        Ok(())
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'a Pipeline) -> Result<Value, Fault> {
        self.check_depth(pipeline.offset)?;
        self.depth += 1;
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value.take())?);
        }
        self.depth -= 1;
        let value = value.unwrap_or(Value::Nil);
        for name in &pipeline.variables {
            if pipeline.assigns {
                self.assign(pipeline.offset, name, value.clone())?;
            } else {
                self.locals.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        dot: &Value,
        command: &'a Command,
        piped: Option<Value>,
    ) -> Result<Value, Fault> {
        let word = &command.word;
        if let (Term::Name(name), []) = (&word.term, &word.fields[..]) {
            return self.call(dot, word.offset, name, &command.arguments, piped);
        }
        if matches!(word.term, Term::Nil) {
            return Err(Fault::new(word.offset, "`nil` by itself is not an expression"));
        }
        if piped.is_some() || !command.arguments.is_empty() {
            let message = "this is not a function, and takes no arguments";
            return Err(Fault::new(word.offset, message));
        }
        self.operand(dot, word)
    }

    fn operand(&mut self, dot: &Value, operand: &'a Operand) -> Result<Value, Fault> {
        self.steps(operand.offset, 1)?;
        let fields = &operand.fields[..];
        if let (Term::Name(name), [Field { name: field, .. }, rest @ ..]) = (&operand.term, fields)
            && let Some(value) = self.variables.get_field(name, field)
        {
            return follow(value, rest);
        }
        let value = match &operand.term {
            Term::Literal(value) => value.clone(),
            Term::Nil => Value::Nil,
            Term::Dot => dot.clone(),
            Term::Variable(name) => self.local(operand.offset, name)?.1.clone(),
            Term::Name(name) => self.call(dot, operand.offset, name, &[], None)?,
            Term::Group(pipeline) => self.pipeline(dot, pipeline)?,
        };
        follow(value, &operand.fields)
    }

    fn call(
        &mut self,
        dot: &Value,
        offset: usize,
        name: &'a str,
        arguments: &'a [Operand],
        piped: Option<Value>,
    ) -> Result<Value, Fault> {
        self.steps(offset, 1)?;
        if !functions::exists(name) {
            let value = self.variable(offset, name)?;
            if piped.is_some() || !arguments.is_empty() {
                let message = format!("`{name}` is not a function, and takes no arguments");
                return Err(Fault::new(offset, message));
            }
            return Ok(value);
        }
        if matches!(name, "and" | "or") {
            return self.connective(dot, offset, name == "or", arguments, piped);
        }
        let mut values = Vec::with_capacity(arguments.len() + usize::from(piped.is_some()));
        for argument in arguments {
            let value = self.operand(dot, argument)?;
            // As in Go, the word `nil` is an empty list where a list is wanted, and a value that is nil is not.
            let is_list = name == "join" && matches!(argument.term, Term::Nil);
            values.push(if is_list { Value::texts([], false) } else { value });
        }
        values.extend(piped);
        functions::call(name, values, &mut self.budget)
            .map_err(|message| Fault::new(offset, format!("`{name}`: {message}")))
    }

    /// `and` and `or`: the first argument that decides, or the last; those behind it are not evaluated.
    fn connective(
        &mut self,
        dot: &Value,
        offset: usize,
        decides: bool,
        arguments: &'a [Operand],
        piped: Option<Value>,
    ) -> Result<Value, Fault> {
        let mut last = None;
        for argument in arguments {
            let value = self.operand(dot, argument)?;
            if value.is_true() == decides {
                return Ok(value);
            }
            last = Some(value);
        }
        let name = if decides { "or" } else { "and" };
        let none = || Fault::new(offset, format!("`{name}` needs an argument"));
        piped.or(last).ok_or_else(none)
    }

    fn variable(&mut self, offset: usize, name: &'a str) -> Result<Value, Fault> {
        if let Some(value) = self.known.get(name) {
            return Ok(value.clone());
        }
        let value = self.variables.get(name).map_err(|missing| match missing {
            Missing::Unknown(message) => Fault::new(offset, message),
            Missing::Dynamic => Fault { offset, message: String::new(), dynamic: true },
        })?;
        self.known.insert(name, value.clone());
        Ok(value)
    }

    /// The innermost variable of that name.
    fn local(&mut self, offset: usize, name: &str) -> Result<&mut (Arc<str>, Value), Fault> {
        let Some(index) = self.locals.iter().rposition(|(known, _)| **known == *name) else {
            return Err(Fault::new(
                offset,
                format!("there is no variable `{name}`; it is declared with `{name} := …`"),
            ));
        };
        // A template may declare very many variables; looking through them is work.
        let distance = self.locals.len() - index;
        self.steps(offset, distance / 16)?;
        Ok(&mut self.locals[index])
    }

    fn assign(&mut self, offset: usize, name: &str, value: Value) -> Result<(), Fault> {
        self.local(offset, name)?.1 = value;
        Ok(())
    }
}

/// A `range` that is being run.
struct Loop<'a> {
    pipeline: &'a Pipeline,
    body: &'a [Node],
    /// How many variables there were before the body's own.
    mark: usize,
}

impl<'a> Loop<'a> {
    /// Runs the body for one item; false after a `break`.
    fn turn(
        &mut self,
        evaluator: &mut Evaluator<'a>,
        index: impl FnOnce() -> Value,
        item: &Value,
    ) -> Result<bool, Fault> {
        let Pipeline { offset, variables, assigns, .. } = self.pipeline;
        evaluator.steps(*offset, 1)?;
        // With one variable it is the item, with two the first is the index.
        if let Some(last) = variables.last() {
            let values = [
                (variables.len() == 2).then(|| (&variables[0], index())),
                Some((last, item.clone())),
            ];
            for (slot, (name, value)) in values.into_iter().flatten().enumerate() {
                if *assigns {
                    evaluator.assign(*offset, name, value)?;
                } else {
                    evaluator.locals[self.mark - variables.len() + slot].1 = value;
                }
            }
        }
        let flow = evaluator.nodes(item, self.body)?;
        evaluator.locals.truncate(self.mark);
        Ok(!matches!(flow, Flow::Break))
    }
}

/// The value behind a chain of fields.
fn follow(mut value: Value, fields: &[Field]) -> Result<Value, Fault> {
    for Field { offset, name } in fields {
        value = field(&value, name).map_err(|message| Fault::new(*offset, message))?;
    }
    Ok(value)
}

fn field(value: &Value, name: &str) -> Result<Value, String> {
    match value {
        Value::Map(map) => map.get(name).cloned().ok_or_else(|| {
            let names: Vec<_> = map.keys().take(20).map(|key| format!("`{key}`")).collect();
            if names.is_empty() {
                return format!("there is no `{name}`; it is empty");
            }
            format!("there is no `{name}`; there is {}", names.join(", "))
        }),
        Value::Nil => Err(format!("there is no `{name}` in nothing (nil)")),
        other => Err(format!("there is no `{name}`: this is {}", other.kind())),
    }
}
