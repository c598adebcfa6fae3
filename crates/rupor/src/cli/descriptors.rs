//! How the file descriptors that the system lets the process have are shared out (F-FD).
//!
//! Invariant: browsers never have all of them. Without that, whoever opens connections until there are no descriptors left
//! also silences the site, whose inlet could not accept any more.

use crate::config::Config;

/// What the process itself holds open: standard streams, listeners, the runtime, files that are read.
const OWN: usize = 24;
/// And each worker: its poll and its waker, with something to spare.
const OWN_PER_WORKER: usize = 3;
/// The part of the rest that is kept for the inlets, and the part for peers that are being told why they are refused.
const PART: usize = 8;

/// The configuration with its numbers of connections lowered to what the descriptors are enough for, and what to say about
/// it. `soft` is how many the process may have; where there is no bound nothing is lowered.
pub(super) fn fit(config: &Config, soft: Option<usize>) -> (Config, Option<String>) {
    let mut config = config.clone();
    let Some(soft) = soft else {
        return (config, None);
    };
    let own = OWN + OWN_PER_WORKER * config.workers.get();
    let rest = soft.saturating_sub(own).max(PART);
    let for_inlets = config.inlet_connections_max.min(rest / PART);
    let lingering = config.limits.lingering_max.min(rest / PART);
    let for_browsers = rest - for_inlets - lingering;
    let wanted = config.limits.connections_max;
    if wanted <= for_browsers {
        return (config, None);
    }
    config.inlet_connections_max = for_inlets;
    config.limits.lingering_max = lingering;
    config.limits.connections_max = for_browsers;
    let warning = format!(
        "the system allows {soft} open files, so {for_browsers} connections are taken and not connections_max = {wanted}, and \
         {for_inlets} on the inlets: raise it with `ulimit -n` or LimitNOFILE= in systemd, or lower --connections-max"
    );
    (config, Some(warning))
}

#[cfg(test)]
mod tests {
    use super::fit;
    use crate::cli::arguments;
    use crate::config::{Config, Mode, load};

    fn demo() -> Config {
        let flags = arguments::command().get_matches_from(["rupor", "demo", "--workers", "4"]);
        let (_, flags) = flags.subcommand().unwrap();
        load::load(Mode::Demo, None, &|_| None, flags).unwrap()
    }

    #[test]
    fn browsers_leave_descriptors_to_the_inlets() {
        for soft in [256, 1024, 20_000, 100_000] {
            let (fitted, warning) = fit(&demo(), Some(soft));
            let shared = fitted.limits.connections_max
                + fitted.inlet_connections_max
                + fitted.limits.lingering_max;
            assert!(shared + 36 <= soft, "{soft}: {shared}");
            assert!(fitted.limits.connections_max > soft / 2, "{soft}");
            assert!(fitted.inlet_connections_max >= 27, "{soft}");
            let warning = warning.expect("a warning");
            assert!(
                warning.contains(&format!("allows {soft} open files")),
                "{warning}"
            );
        }
    }

    #[test]
    fn where_there_are_enough_nothing_changes() {
        for soft in [Some(524_288), None] {
            let (fitted, warning) = fit(&demo(), soft);
            let demo = demo();
            assert_eq!(warning, None);
            assert_eq!(fitted.limits.connections_max, demo.limits.connections_max);
            assert_eq!(fitted.inlet_connections_max, demo.inlet_connections_max);
        }
    }

    #[test]
    fn with_hardly_any_something_is_still_served() {
        let (fitted, _) = fit(&demo(), Some(16));
        assert!(fitted.limits.connections_max > 0);
        assert!(fitted.inlet_connections_max > 0);
    }
}
