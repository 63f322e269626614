//! Which source wins, and that every setting arrives where it is read.

use super::*;
use crate::cli;

fn load_with(args: &[&str], env: &[(&str, &str)], file: Option<&str>) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, file.unwrap_or_default()).unwrap();
    let mut all = vec!["skep"];
    all.extend(args);
    let matches = cli::command().try_get_matches_from(all).unwrap();
    let find = |name: &str| match name {
        "SKEP_CONFIG" => Some(path.clone().into_os_string()),
        _ => env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)),
    };
    load(&matches, &find, true)
}

fn source(config: &Config, key: &str) -> Source {
    config.source(key).unwrap().clone()
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let file = Some("listen = \"127.0.0.1:3\"\n");
    let env = [("SKEP_LISTEN", "127.0.0.1:2")];
    let port = |config: &Config| config.settings.listen.port();

    let config = load_with(&["serve", "--listen", "127.0.0.1:1"], &env, file).unwrap();
    assert_eq!((port(&config), source(&config, "listen")), (1, Source::Flag("listen")));
    let config = load_with(&["serve"], &env, file).unwrap();
    assert_eq!((port(&config), source(&config, "listen")), (2, Source::Environment("SKEP_LISTEN".into())));
    let config = load_with(&["serve"], &[("SKEP_LISTEN", "")], file).unwrap();
    assert_eq!((port(&config), source(&config, "listen")), (3, Source::File(1)), "an empty variable is none");
    let config = load_with(&["serve"], &[], None).unwrap();
    assert_eq!((port(&config), source(&config, "listen")), (7070, Source::Default));
}

#[test]
fn a_flag_can_switch_off_what_the_file_switches_on() {
    let config = load_with(&["ls", "--json=false"], &[], Some("json = true")).unwrap();
    assert!(!config.settings.json);
    assert!(load_with(&["--json", "ls"], &[], None).unwrap().settings.json, "before the command too");
}

#[test]
fn lists_gather_and_verbosity_counts() {
    let args = ["serve", "--tracker", "http://a:1", "--tracker", "http://b:2", "-vv"];
    let config = load_with(&args, &[("SKEP_TRACKERS", "http://c:3")], None).unwrap();
    assert_eq!(config.settings.trackers, ["http://a:1", "http://b:2"], "a flag replaces, it does not add");
    assert_eq!(config.settings.verbose, 2);
    let config = load_with(&["serve"], &[("SKEP_TRACKERS", "http://c:3, http://d:4")], None).unwrap();
    assert_eq!(config.settings.trackers, ["http://c:3", "http://d:4"]);
}

#[test]
fn wrong_variables_are_named() {
    let error = load_with(&["serve"], &[("SKEP_LIMITS_UP", "fast")], None).unwrap_err().to_string();
    assert!(error.contains("SKEP_LIMITS_UP") && error.contains("not a size"), "{error}");
}

#[test]
fn paths_in_the_file_start_at_the_file() {
    let config = load_with(&["serve"], &[], Some("root = \"data\"\nstate_dir = \"/s\"")).unwrap();
    let file = config.file.unwrap();
    assert_eq!(config.settings.root, Some(file.parent().unwrap().join("data")));
    assert_eq!(config.settings.state_dir, Some(PathBuf::from("/s")));
    assert_eq!(config.settings.log_dir, Some(PathBuf::from("/s")), "a state folder brings its logs along");
}

#[test]
fn what_does_not_fit_to_another_setting_is_named_where_it_was_given() {
    let error = |env: &[(&str, &str)], file| load_with(&["serve"], env, file).unwrap_err().to_string();
    let text = error(&[], Some("[link]\nwindow = \"1m\"\nsatellite_bandwidth = 20\n"));
    for words in ["link.satellite_bandwidth in ", "config.toml line 3", "broadband_bandwidth is 10", "above 20"] {
        assert!(text.contains(words), "{text}");
    }
    let text = error(&[("SKEP_LINK_FIBER_LATENCY", "60")], None);
    for words in ["link.fiber_latency (environment, SKEP_LINK_FIBER_LATENCY)", "broadband_latency is 50", "above 60"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(error(&[], Some("[link]\nwindow = \"1s\"\n")).contains("from 5s to 3600s"));
}

/// Every setting, changed in the file, changes [`Settings`]: none is listed and then ignored.
#[test]
fn every_setting_arrives() {
    let before = format!("{:?}", load_with(&["serve"], &[], None).unwrap().settings);
    for setting in SETTINGS {
        let other = match setting.kind {
            Kind::Bool => (!matches!(setting.default_value(), Value::Bool(true))).to_string(),
            Kind::Count(..) | Kind::AutoCount(..) if setting.default != "3" => "3".into(),
            Kind::Count(..) | Kind::AutoCount(..) => "4".into(),
            // Not so different that it does not fit to others.
            Kind::Number(..) => format!("{}", setting.default.parse::<f64>().unwrap() * 1.1),
            Kind::MaybeNumber(..) => "\"none\"".into(),
            Kind::Weights(_) => "[1, 2, 3, 4]".into(),
            Kind::Profiles => "{ satellite = { chunk = \"32KiB\" } }".into(),
            Kind::Size | Kind::AutoSize => "\"5MiB\"".into(),
            Kind::Rate => "\"5M\"".into(),
            Kind::Duration | Kind::MaybeDuration => "\"7s\"".into(),
            Kind::MaybeRatio => "2.5".into(),
            Kind::Text => "\"another\"".into(),
            Kind::Choice(words) => format!("{:?}", words[words.len() - 1]),
            Kind::Path => "\"/another\"".into(),
            Kind::Address => "\"127.0.0.9:9\"".into(),
            Kind::List => "[\"http://x:1\"]".into(),
            Kind::Schedule => "[\"mon up=1M\"]".into(),
        };
        let text = match setting.place() {
            (Some(section), name) => format!("[{section}]\n{name} = {other}"),
            (None, name) => format!("{name} = {other}"),
        };
        let after = format!("{:?}", load_with(&["serve"], &[], Some(&text)).unwrap().settings);
        assert_ne!(before, after, "{} changes nothing", setting.key);
    }
}

#[test]
fn the_weights_of_a_score_are_four_and_come_to_one() {
    let weights = |text: &str| {
        load_with(&["serve"], &[], Some(&format!("[pool]\nweights = {text}")))
            .map(|config| config.settings.pool.limits.weights)
            .map_err(|error| error.to_string())
    };
    let unset = load_with(&["serve"], &[], None).unwrap().settings.pool;
    assert_eq!(unset.limits.weights, [0.3, 0.3, 0.2, 0.2], "as they are written");
    assert_eq!((unset.points, unset.bound), (150, Some(1.25)));
    assert_eq!(weights("[1, 2, 0, 1.0]"), Ok([0.25, 0.5, 0.0, 0.25]), "divided by their sum");
    let variable = load_with(&["serve"], &[("SKEP_POOL_WEIGHTS", "1, 1,1,1")], None).unwrap();
    assert_eq!(variable.settings.pool.limits.weights, [0.25; 4]);
    for wrong in ["[1, 2, 3]", "[1, 2, 3, 4, 5]", "[0, 0, 0, 0]", "[1, 1, 1, -1]", "[1, 1, 1, nan]", "[1, 1, 1, \"x\"]"]
    {
        let error = weights(wrong).unwrap_err();
        assert!(error.contains("pool.weights in ") && error.contains("is not 4 numbers"), "{wrong}: {error}");
    }
    let bound = |text: &str| {
        let config = load_with(&["serve"], &[], Some(&format!("[pool]\nbound = {text}")));
        config.map(|config| config.settings.pool.bound).map_err(|error| error.to_string())
    };
    assert_eq!((bound("2"), bound("1.5"), bound("\"none\"")), (Ok(Some(2.0)), Ok(Some(1.5)), Ok(None)));
    assert!(bound("0.9").unwrap_err().contains("neither a number from 1 to 100 nor `none`"));
}
