//! Which application answers on which path.

use super::{Calls, Chat, Echo, Outlet, Php};
use crate::config::{Application, ApplicationRule};
use crate::gateway::{Clock, path_match};
use std::sync::Arc;

/// Paths and their applications. Rules that name the same application share one: there is one chat.
#[derive(Debug)]
pub(crate) struct Routes {
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    path: String,
    outlet: Arc<dyn Outlet>,
    subprotocols: Vec<String>,
}

impl Routes {
    /// The applications of a configuration.
    pub(crate) fn new(
        rules: &[ApplicationRule],
        clock: &Clock,
        php: &[Arc<Php>],
        calls: &[Arc<Calls>],
    ) -> Self {
        let chat: Arc<dyn Outlet> = Arc::new(Chat::new(clock.clone()));
        let echo: Arc<dyn Outlet> = Arc::new(Echo);
        let route = |rule: &ApplicationRule| {
            // The configuration numbers only what there is.
            let outlet: Arc<dyn Outlet> = match rule.application {
                Application::Chat => Arc::clone(&chat),
                Application::Echo => Arc::clone(&echo),
                Application::Php(number) => Arc::clone(php.get(number)?) as _,
                called => {
                    let named = calls.iter().find(|calls| calls.application() == called);
                    Arc::clone(named?) as _
                }
            };
            Some(Route {
                path: rule.path.clone(),
                outlet,
                subprotocols: rule.subprotocols.clone(),
            })
        };
        Self {
            routes: rules.iter().filter_map(route).collect(),
        }
    }

    /// One application on every path.
    #[cfg(test)]
    pub(crate) fn everywhere(outlet: Arc<dyn Outlet>) -> Self {
        let route = Route {
            path: "*".to_owned(),
            outlet,
            subprotocols: Vec::new(),
        };
        Self {
            routes: vec![route],
        }
    }

    /// The application on a path (as it was sent, without the query): the rule that names most of it decides.
    pub(crate) fn outlet(&self, path: &str) -> Option<&Arc<dyn Outlet>> {
        self.best(path).map(|route| &route.outlet)
    }

    /// The subprotocols that this path offers besides the general ones.
    pub(crate) fn subprotocols(&self, path: &str) -> &[String] {
        self.best(path).map_or(&[], |route| &route.subprotocols)
    }

    fn best(&self, path: &str) -> Option<&Route> {
        self.routes
            .iter()
            .filter_map(|route| Some((path_match(&route.path, path)?, route)))
            .max_by_key(|(named, _)| *named)
            .map(|(_, route)| route)
    }
}
