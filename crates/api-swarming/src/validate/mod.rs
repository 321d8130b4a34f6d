//! Whether what clients send is right, and what it is then: everything that needs neither a store nor a clock.
//!
//! Codes, messages and the order in which mistakes are found are those of luci-go's `swarming/server` at 22eba00a8f,
//! because scripts look at them. Everything here is chosen by strangers: no input makes these functions panic.

pub mod bot_requests;
pub mod cipd;
pub mod cursor;
pub mod dimension;
pub mod fill;
pub mod filter;
pub mod hash;
pub mod name;
pub mod new_task;
pub mod path;
pub mod properties;
pub mod requests;
pub mod task;
pub mod task_id;
pub mod text;
pub mod url;

pub use self::filter::{Constraint, Filter};
pub use self::task::{NewTask, Properties, Slice};
pub use self::task_id::TaskId;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::swarming::StringPair;

    /// Characters that some rule or parser looks at, and some that none expects.
    const TEXT: &str = "([a-z0-9:/.@|${}=,\\\\_ \\[\\]\n%+~-]|\\PC|\u{a0}|\u{1F600}){0,30}";

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in TEXT, prefix in "(https?://|projects/|a:|bot\\{|\\$\\{os=)?") {
            let text = format!("{prefix}{text}");
            let _ = cipd::package_name(&text);
            let _ = cipd::version(&text);
            let _ = dimension::tag(&text);
            let _ = dimension::value("id", &text);
            let _ = url::secure_url(&text);
            let _ = name::pubsub_topic(&text);
            let _ = name::realm(&text);
            let _ = name::service_account(&text);
            let _ = path::check(&text, 20, false);
            let _ = TaskId::parse(&text);
            let _ = crate::config::intset::expand(&text);
            let _ = Filter::of_tags(std::slice::from_ref(&text));
            let pair = StringPair { key: "k".to_owned(), value: text.clone() };
            let _ = Filter::of_task(&[pair]);
            let clean = text::clean(&text);
            prop_assert_eq!(text::clean(&clean), clean);
            let shown = text::quote(&text);
            prop_assert!(shown.len() >= text.len() + 2 && !shown.contains('\n'));
        }
    }
}
