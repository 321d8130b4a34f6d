//! `swarming.v2.Swarming`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::needs;
use crate::proto::swarming::{
    BootstrapToken, ClientPermissions, PermissionsRequest, ServerDetails,
};
use crate::prpc::Status;
use crate::server::{Caller, Role, Server};
use crate::tasks::view::TaskView;
use crate::validate::requests;

pub(super) async fn get_details(
    server: &Arc<Server>,
    caller: &Caller,
    (): (),
) -> Result<ServerDetails, Status> {
    needs(caller, Role::Viewer, "swarming.servers.peek", "")?;
    let settings = &server.config().settings;
    Ok(ServerDetails {
        server_version: server.version.clone(),
        bot_version: server.bot_version().unwrap_or_default(),
        display_server_url_template: settings
            .display_server_url_template
            .clone()
            .unwrap_or_default(),
        cas_viewer_server: settings.cas_viewer_server.clone().unwrap_or_default(),
        ..ServerDetails::default()
    })
}

pub(super) async fn get_token(
    server: &Arc<Server>,
    caller: &Caller,
    (): (),
) -> Result<BootstrapToken, Status> {
    needs(caller, Role::Admin, "swarming.pools.createBot", "")?;
    Ok(BootstrapToken { bootstrap_token: server.bootstrap_token() })
}

pub(super) async fn get_permissions(
    server: &Arc<Server>,
    caller: &Caller,
    request: PermissionsRequest,
) -> Result<ClientPermissions, Status> {
    let mut own = false;
    if !request.task_id.is_empty() {
        let id = requests::task_id(&request.task_id)?;
        let view = TaskView::find(server, id)?.ok_or_else(requests::no_task)?;
        own = view.is_of(caller);
    }
    let admin = caller.role >= Role::Admin;
    let pools = match caller.role >= Role::Viewer {
        true => pools(server),
        false => Vec::new(),
    };
    Ok(ClientPermissions {
        delete_bot: admin,
        delete_bots: admin,
        terminate_bot: admin,
        get_configs: false,
        put_configs: false,
        cancel_task: caller.role >= Role::User || own,
        get_bootstrap_token: admin,
        cancel_tasks: caller.role >= Role::User,
        list_bots: pools.clone(),
        list_tasks: pools,
    })
}

/// The pools of the configuration, and those that bots say they are in: the pages offer what stands here.
fn pools(server: &Server) -> Vec<String> {
    let mut pools: BTreeSet<String> = server.config().pools.keys().cloned().collect();
    for seen in server.fleet.after(None) {
        let of_bot = seen.record.dimensions.iter().filter(|(key, _)| *key == "pool");
        pools.extend(of_bot.flat_map(|(_, values)| values.iter().cloned()));
    }
    pools.into_iter().collect()
}
