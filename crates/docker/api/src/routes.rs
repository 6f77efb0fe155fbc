//! The table of every route, and the handlers behind it: one file per kind of thing.

mod absent;
mod archive;
mod containers;
mod exec;
mod images;
mod networks;
mod output;
mod registries;
mod system;
mod volumes;

use std::sync::LazyLock;

use http::Method;

use crate::router::Route;
use crate::server::Handler;

macro_rules! routes {
    ($($method:ident $pattern:literal => $handler:path;)*) => {
        vec![$(Route::new(Method::$method, $pattern, (|call| Box::pin($handler(call))) as Handler),)*]
    };
}

/// All routes. The first row that matches answers, so fixed words stand before names.
pub fn table() -> &'static [Route<Handler>] {
    static TABLE: LazyLock<Vec<Route<Handler>>> = LazyLock::new(|| {
        let mut table = containers_table();
        table.extend(images_table());
        table.extend(others_table());
        table.extend(absent_table());
        table
    });
    &TABLE
}

fn containers_table() -> Vec<Route<Handler>> {
    routes! {
        GET "/containers/json" => containers::list;
        POST "/containers/create" => containers::create;
        POST "/containers/prune" => containers::prune;
        GET "/containers/{id}/json" => containers::inspect;
        GET "/containers/{id}/top" => containers::top;
        GET "/containers/{id}/changes" => containers::changes;
        POST "/containers/{id}/start" => containers::start;
        POST "/containers/{id}/stop" => containers::stop;
        POST "/containers/{id}/restart" => containers::restart;
        POST "/containers/{id}/kill" => containers::kill;
        POST "/containers/{id}/pause" => containers::pause;
        POST "/containers/{id}/unpause" => containers::unpause;
        POST "/containers/{id}/rename" => containers::rename;
        POST "/containers/{id}/update" => containers::update;
        POST "/containers/{id}/wait" => containers::wait;
        DELETE "/containers/{id}" => containers::remove;
        GET "/containers/{id}/logs" => output::logs;
        GET "/containers/{id}/stats" => output::stats;
        POST "/containers/{id}/attach" => output::attach;
        GET "/containers/{id}/attach/ws" => output::attach_websocket;
        POST "/containers/{id}/resize" => output::resize;
        GET "/containers/{id}/export" => archive::export;
        HEAD "/containers/{id}/archive" => archive::stat;
        GET "/containers/{id}/archive" => archive::get;
        PUT "/containers/{id}/archive" => archive::put;
        POST "/commit" => archive::commit;
        POST "/containers/{id}/exec" => exec::create;
        POST "/exec/{id}/start" => exec::start;
        POST "/exec/{id}/resize" => exec::resize;
        GET "/exec/{id}/json" => exec::inspect;
    }
}

fn images_table() -> Vec<Route<Handler>> {
    routes! {
        GET "/images/json" => images::list;
        GET "/images/search" => registries::search;
        GET "/images/get" => images::save;
        POST "/images/load" => images::load;
        POST "/images/create" => registries::create;
        POST "/images/prune" => images::prune;
        GET "/images/{name...}/get" => images::save_one;
        GET "/images/{name...}/history" => images::history;
        GET "/images/{name...}/json" => images::inspect;
        POST "/images/{name...}/push" => registries::push;
        POST "/images/{name...}/tag" => images::tag;
        DELETE "/images/{name...}" => images::remove;
        GET "/distribution/{name...}/json" => registries::distribution;
        POST "/auth" => registries::login;
    }
}

fn others_table() -> Vec<Route<Handler>> {
    routes! {
        GET "/_ping" => system::ping;
        HEAD "/_ping" => system::ping;
        GET "/version" => system::version;
        GET "/info" => system::info;
        GET "/events" => system::events;
        GET "/system/df" => system::disk_usage;
        GET "/networks" => networks::list;
        GET "/networks/" => networks::list;
        POST "/networks/create" => networks::create;
        POST "/networks/prune" => networks::prune;
        GET "/networks/{id}" => networks::inspect;
        DELETE "/networks/{id}" => networks::remove;
        POST "/networks/{id}/connect" => networks::connect;
        POST "/networks/{id}/disconnect" => networks::disconnect;
        GET "/volumes" => volumes::list;
        POST "/volumes/create" => volumes::create;
        POST "/volumes/prune" => volumes::prune;
        GET "/volumes/{name}" => volumes::inspect;
        DELETE "/volumes/{name}" => volumes::remove;
        PUT "/volumes/{name}" => absent::swarm;
    }
}

fn absent_table() -> Vec<Route<Handler>> {
    routes! {
        POST "/build" => absent::build;
        POST "/build/prune" => absent::build_prune;
        POST "/build/cancel" => absent::build;
        POST "/session" => absent::session;
        POST "/grpc" => absent::session;
        GET "/containers/{id}/checkpoints" => absent::checkpoint;
        POST "/containers/{id}/checkpoints" => absent::checkpoint;
        DELETE "/containers/{id}/checkpoints/{name}" => absent::checkpoint;
        GET "/plugins" => absent::plugins;
        GET "/plugins/privileges" => absent::plugin_change;
        POST "/plugins/pull" => absent::plugin_change;
        POST "/plugins/create" => absent::plugin_change;
        GET "/plugins/{name...}/json" => absent::plugin;
        POST "/plugins/{name...}/enable" => absent::plugin;
        POST "/plugins/{name...}/disable" => absent::plugin;
        POST "/plugins/{name...}/push" => absent::plugin;
        POST "/plugins/{name...}/upgrade" => absent::plugin;
        POST "/plugins/{name...}/set" => absent::plugin;
        DELETE "/plugins/{name...}" => absent::plugin;
        POST "/swarm/init" => absent::swarm_setup;
        POST "/swarm/join" => absent::swarm_setup;
        POST "/swarm/leave" => absent::swarm_leave;
        GET "/swarm" => absent::swarm;
        GET "/swarm/unlockkey" => absent::swarm;
        POST "/swarm/{what}" => absent::swarm;
        GET "/nodes" => absent::swarm;
        GET "/nodes/{id}" => absent::swarm;
        DELETE "/nodes/{id}" => absent::swarm;
        POST "/nodes/{id}/update" => absent::swarm;
        GET "/services" => absent::swarm;
        GET "/services/{id}" => absent::swarm;
        GET "/services/{id}/logs" => absent::swarm;
        POST "/services/{what}" => absent::swarm;
        POST "/services/{id}/update" => absent::swarm;
        DELETE "/services/{id}" => absent::swarm;
        GET "/tasks" => absent::swarm;
        GET "/tasks/{id}" => absent::swarm;
        GET "/tasks/{id}/logs" => absent::swarm;
        GET "/secrets" => absent::swarm;
        GET "/secrets/{id}" => absent::swarm;
        POST "/secrets/{what}" => absent::swarm;
        POST "/secrets/{id}/update" => absent::swarm;
        DELETE "/secrets/{id}" => absent::swarm;
        GET "/configs" => absent::swarm;
        GET "/configs/{id}" => absent::swarm;
        POST "/configs/{what}" => absent::swarm;
        POST "/configs/{id}/update" => absent::swarm;
        DELETE "/configs/{id}" => absent::swarm;
    }
}
