//! Filters around an `or` without parentheses.

use crate::error::Span;
use crate::syntax::Node;

/// Without parentheses, filters in front of all patterns or after all of them hold for every branch of an `or`: people
/// who write `repo:a x or y` mean `repo:a (x or y)`, and would otherwise get `y` of all repositories.
pub(super) fn hoisted(root: Node) -> Node {
    let Node::Or(branches) = root else { return root };
    if !branches.iter().all(Node::has_pattern) || !surround(&branches) {
        return Node::Or(branches);
    }
    let mut filters = Vec::new();
    let mut patterns = Vec::new();
    for branch in branches {
        let members = match branch {
            Node::And(members) => members,
            node => vec![node],
        };
        let (of_all, own): (Vec<_>, Vec<_>) =
            members.into_iter().partition(|node| matches!(node, Node::Filter(_)));
        filters.extend(of_all);
        patterns.extend(Node::and(own));
    }
    filters.extend(Node::or(patterns));
    Node::and(filters).expect("every branch has a pattern")
}

/// Whether no filter stands between patterns.
fn surround(branches: &[Node]) -> bool {
    let leaves = branches.iter().flat_map(|branch| match branch {
        Node::And(members) => members.as_slice(),
        node => std::slice::from_ref(node),
    });
    let mut filters = Vec::new();
    let mut patterns: Option<Span> = None;
    for leaf in leaves {
        match leaf {
            Node::Filter(filter) => filters.push(filter.span),
            node => {
                let span = node.span();
                patterns = Some(patterns.map_or(span, |all| all.to(span)));
            }
        }
    }
    let Some(patterns) = patterns else { return false };
    filters.iter().all(|filter| filter.end <= patterns.start || filter.start >= patterns.end)
}
