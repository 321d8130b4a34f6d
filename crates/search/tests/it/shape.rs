//! A syntax tree as a line of text, without its places.

use search::{Filter, Node, Pattern, PatternSyntax, PatternType, Place, Query, Value};

pub fn parsed(text: &str, pattern_type: PatternType) -> Query {
    search::parse(text, pattern_type).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn shape(node: &Node) -> String {
    let many = |name: &str, nodes: &[Node]| {
        let nodes: Vec<_> = nodes.iter().map(shape).collect();
        format!("({name} {})", nodes.join(" "))
    };
    match node {
        Node::And(nodes) => many("and", nodes),
        Node::Or(nodes) => many("or", nodes),
        Node::Not(node) => format!("(not {})", shape(node)),
        Node::Filter(Filter { field, negated, value, .. }) => {
            let sign = if *negated { "-" } else { "" };
            match value {
                Value::Text(text) => format!("{sign}{}:{text}", field.name()),
                Value::Predicate(predicate) => format!("{sign}{}:{predicate}", field.name()),
            }
        }
        Node::Pattern(Pattern { text, syntax, place, .. }) => {
            let place = match place {
                Place::Anywhere => "",
                Place::Content => "content:",
            };
            match syntax {
                PatternSyntax::Literal => format!("{place}'{text}'"),
                PatternSyntax::Regexp => format!("{place}/{text}/"),
            }
        }
    }
}
