//! Saved searches: made and changed.

use std::sync::Arc;

use model::SavedSearchId;

use super::{Caller, Changed, NewRun, Refusal, Service};
use crate::action::Reason;
use crate::saved_search::SavedSearch;
use crate::scope::{PatternType, Prepared, mistake};
use crate::site::Role;

impl Service {
    pub async fn create_saved_search(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        query: &str,
        description: &str,
    ) -> Result<SavedSearch, Refusal> {
        caller.needs(Role::User)?;
        super::check_name("a saved search", name)?;
        check_query(query)?;
        let (of, query, description) = (name.to_owned(), query.to_owned(), description.to_owned());
        let (by, now) = (caller.name.clone(), self.now());
        let made = self
            .blocking(move |it| it.store.create_saved_search(&of, &query, &description, &by, now))
            .await?;
        self.triggers.notify_one();
        self.tell(Changed::Actions);
        made.ok_or_else(|| Refusal::name_taken("a saved search", name))
    }

    pub async fn update_saved_search(
        self: &Arc<Self>,
        caller: &Caller,
        id: SavedSearchId,
        name: Option<&str>,
        query: Option<&str>,
        description: Option<&str>,
    ) -> Result<SavedSearch, Refusal> {
        caller.needs(Role::User)?;
        let known = self.blocking(move |it| it.store.saved_search(id)).await?;
        let known = known.ok_or_else(|| Refusal::NotFound(format!("saved search {id}")))?;
        let name = name.unwrap_or(&known.name).to_owned();
        super::check_name("a saved search", &name)?;
        let query = query.unwrap_or(&known.query).to_owned();
        check_query(&query)?;
        let description = description.unwrap_or(&known.description).to_owned();
        let (of, now) = (name.clone(), self.now());
        let changed = self
            .blocking(move |it| it.store.update_saved_search(id, &of, &query, &description, now))
            .await?;
        self.triggers.notify_one();
        self.tell(Changed::Actions);
        changed.ok_or_else(|| Refusal::name_taken("a saved search", &name))
    }

    pub async fn delete_saved_search(
        self: &Arc<Self>,
        caller: &Caller,
        id: SavedSearchId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        if !self.blocking(move |it| it.store.delete_saved_search(id)).await? {
            return Err(Refusal::NotFound(format!("saved search {id}")));
        }
        self.tell(Changed::Actions);
        Ok(())
    }

    /// Runs the actions of a saved search, as the prototype's query runner asked for. Two searches with the same text are
    /// told apart by their ids.
    pub async fn run_actions_of(
        self: &Arc<Self>,
        caller: &Caller,
        id: SavedSearchId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        let search = self.blocking(move |it| it.store.saved_search(id)).await?;
        let search = search.ok_or_else(|| Refusal::NotFound(format!("saved search {id}")))?;
        for action in self.blocking(move |it| it.store.actions_of_saved_search(id)).await? {
            let run = NewRun {
                reason: Reason::SavedSearch,
                detail: format!("{} asked for the saved search `{}`", caller.name, search.name),
                only: None,
                key: None,
            };
            self.run_action(caller, action.id, run).await?;
        }
        Ok(())
    }
}

fn check_query(query: &str) -> Result<(), Refusal> {
    Prepared::new(query, PatternType::Keyword)
        .map_err(|error| Refusal::of_field("query", mistake(query, &error)))?;
    Ok(())
}
