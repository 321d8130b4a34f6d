//! The people's door: pages rendered on the server, each of one GraphQL query, or of a few calls of Swarming's, that the wiring
//! runs with the caller's rights ([`Backend`]). So the pages can show nothing that the API cannot. It must not know the engine, the store, or who answers.

mod assets;
mod backend;
mod cx;
mod headers;
mod live;
mod log_door;
mod pages;
mod session;
mod types;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

pub use backend::{Backend, Caller, GraphError, LogPiece, Role, Topic};
pub use session::OverTls;

/// Longest form that a page may send: an action's definition and some.
const FORM_BYTES: usize = 8 * 1024 * 1024;

#[derive(Clone)]
pub(crate) struct Door {
    pub backend: Arc<dyn Backend>,
}

/// Every page. Nothing but the login page, the assets and the report of the browser's policy answers without a session.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    use pages::*;
    Router::new()
        .route("/", get(home::show))
        .route("/actions", get(actions::list))
        .route("/actions/new", get(action_edit::new).post(action_edit::create))
        .route("/actions/new/check", post(action_edit::check))
        .route("/run", post(home::run))
        .route("/actions/new/schedule", post(action_settings::schedule))
        .route("/actions/{name}", get(actions::show))
        .route("/actions/{name}/edit", get(action_edit::edit).post(action_edit::save))
        .route("/actions/{name}/versions", get(action_versions::list))
        .route("/actions/{name}/settings", get(action_settings::show).post(action_settings::save))
        .route("/executions", get(executions::list))
        .route("/executions/{number}", get(execution::show))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{number}", get(job::show))
        .route("/jobs/{number}/diff/raw", get(job::raw_diff))
        .route("/jobs/{number}/log", get(log_door::piece))
        .route("/jobs/{number}/log/raw", get(log_door::raw))
        .route("/saved-searches", get(saved_searches::list).post(saved_searches::create))
        .route("/saved-searches/{name}", get(saved_searches::show).post(saved_searches::save))
        .route("/campaigns", get(campaigns::list))
        .route("/campaigns/new", get(campaign_new::show).post(campaign_new::create))
        .route("/campaigns/{name}", get(campaign::show))
        .route("/campaigns/{name}/edit", get(campaign_edit::show).post(campaign_edit::save))
        .route("/campaigns/{name}/track", get(campaign_track::show).post(campaign_track::add))
        .route(
            "/campaigns/{name}/preview",
            get(campaign_preview::show).post(campaign_preview::apply),
        )
        .route("/changesets/{id}", get(changeset::show))
        .route("/patch-sets/{id}", get(patch_set::show))
        .route("/patches/{id}", get(patch_set::patch))
        .route("/patches/{id}/raw", get(patch_set::raw))
        .route("/runners", get(runners::list))
        .route("/runners/{name}", get(runners::show))
        .route("/repositories", get(repositories::list))
        .route("/repositories/{*name}", get(repositories::show))
        .route("/code-hosts", get(code_hosts::list).post(code_hosts::add))
        .route("/code-hosts/{name}", get(code_hosts::edit).post(code_hosts::save))
        .route("/search", get(search::show))
        .route("/palette", get(search::palette))
        .route("/settings", get(settings::show))
        .route("/settings/tokens", post(settings::create_token))
        .route("/settings/secrets", post(settings::set_secret))
        .route("/botlist", get(swarming::botlist::list))
        .route("/bot", get(swarming::bot::show))
        .route("/fleet", get(swarming::fleet::show))
        .route("/tasklist", get(swarming::tasklist::list))
        .route("/task", get(swarming::task::show))
        .route("/restricted/bots", get(swarming::old::bots))
        .route("/restricted/bot/{id}", get(swarming::old::bot))
        .route("/user/tasks", get(swarming::old::tasks))
        .route("/user/task/{id}", get(swarming::old::task))
        .route("/tasks/{id}", get(swarming::old::task))
        .route("/do/swarming/{operation}", post(swarming::act::act))
        .route("/do/{operation}", post(operations::act))
        .route("/live", get(live::stream))
        .route("/login", get(session::login_page).post(session::login))
        .route("/logout", post(session::logout))
        .route("/theme", post(session::theme))
        .route("/csp-report", post(headers::report).get(headers::reports))
        .route("/assets/{version}/{file}", get(assets::serve))
        .fallback(pages::failure::no_such_page)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(axum::middleware::from_fn(headers::add))
        .with_state(Door { backend })
}
