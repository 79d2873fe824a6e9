//! Layers, ranges, rules, documents.

use std::{fs, path::Path, time::Duration};

use settings::{
    Choice, ConfigError, Errors, ExposeSecret, Keys, Loaded, SecretString, Setting, Settings, load_from,
};

#[derive(Clone, Copy, Debug, PartialEq, Choice)]
enum Colour {
    Red,
    #[choice("deep-blue")]
    Blue,
}

/// A section.
#[derive(Debug, Settings)]
#[settings(check = Paint::check)]
struct Paint {
    /// The colour.
    #[setting(default = Colour::Red)]
    colour: Colour,
    /// How many layers,
    /// one over the other.
    #[setting(default = 2, min = 1, max = 9)]
    layers: u32,
    /// The fraction of white.
    #[setting(default = 0.5, above = 0.0, max = 1.0)]
    white: f32,
    /// Time to dry.
    #[setting(default = Duration::from_hours(1), min = Duration::from_millis(1))]
    drying: Duration,
    /// The maker.
    maker: Option<String>,
    /// The recipe.
    recipe: SecretString,
}

impl Paint {
    fn check(&self, errors: &mut Errors) {
        if self.colour == Colour::Blue && self.layers < 2 {
            errors.add("layers", "blue needs two");
        }
    }
}

#[derive(Debug, Settings)]
struct Inner {
    #[setting(section)]
    paint: Paint,
}

#[derive(Debug, Settings)]
struct All {
    #[setting(flatten)]
    inner: Inner,
    #[setting(section)]
    trim: Paint,
}

fn load(built_in: &str, variables: &[(&str, &str)]) -> Loaded<All> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_from(built_in, Path::new("/nonexistent"), variables)
}

fn texts(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn later_layers_override_earlier_ones_key_by_key() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("harbour.toml"),
        "[paint]\nlayers = 4\nmaker = \"file\"\n",
    )
    .expect("a file");
    let built_in = "[service]\nenvironment = \"harbour\"\n[paint]\nlayers = 3\nwhite = 0.25\n";
    let variables = [("APP__PAINT__MAKER".to_owned(), "variable".to_owned())];
    let loaded = load_from::<All>(built_in, folder.path(), variables);
    let paint = loaded.settings.inner.paint;
    assert_eq!(
        (paint.layers, paint.white, paint.maker.as_deref()),
        (4, 0.25, Some("variable"))
    );
    assert_eq!(paint.drying, Duration::from_hours(1));
    // The crate itself has no keys, not even `service.environment`.
    assert_eq!(
        texts(&loaded.errors),
        ["service.environment: unknown key; there is no such section"]
    );
}

#[test]
fn every_error_is_reported_in_one_run_and_each_key_once() {
    let variables = [
        ("APP__PAINT__COLOUR", "deep-blue"),
        ("APP__PAINT__LAYERS", "0"),
        ("APP__PAINT__WHITE", "NaN"),
        ("APP__PAINT__DRYING", "0s"),
        ("APP__TRIM__COLOUR", "green"),
        ("APP__TRIM__LAYER", "1"),
        ("APP__TRIM", "1"),
    ];
    let loaded = load("[paint", &variables);
    let expected = [
        "APP__TRIM: does not name a key; keys are written as APP__SECTION__KEY",
        "default.toml: is not valid TOML; check it with a TOML linter",
        "paint.layers: `0` is invalid: must be at least 1",
        "paint.white: `NaN` is invalid: must be above 0",
        "paint.drying: `0s` is invalid: must be at least 1ms",
        "trim.colour: `green` is invalid: expected one of: red, deep-blue",
        "trim.layer: unknown key; `trim` has: colour, layers, white, drying, maker, recipe",
    ];
    assert_eq!(texts(&loaded.errors), expected);
    let message = loaded.valid().expect_err("seven errors").to_string();
    assert!(
        message.starts_with("the configuration has 7 error(s):\n  APP__TRIM: "),
        "{message}"
    );
}

#[test]
fn errors_of_rules_name_the_section_of_the_key() {
    let variables = [("APP__TRIM__COLOUR", "deep-blue"), ("APP__TRIM__LAYERS", "1")];
    assert_eq!(
        texts(&load("", &variables).errors),
        ["trim.layers: blue needs two"]
    );
}

#[test]
fn a_value_can_be_in_its_own_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recipe");
    fs::write(&path, "lime and milk\n").expect("a file");
    let path = path.display().to_string();
    let loaded = load("", &[("APP__PAINT__RECIPE__FILE", &path)]);
    assert_eq!(texts(&loaded.errors), [""; 0]);
    assert_eq!(
        loaded.settings.inner.paint.recipe.expose_secret(),
        "lime and milk"
    );

    let both = [
        ("APP__PAINT__RECIPE__FILE", path.as_str()),
        ("APP__PAINT__RECIPE", "milk"),
    ];
    let loaded = load("", &both);
    assert_eq!(texts(&loaded.errors), [""; 0]);
    assert_eq!(
        loaded.settings.inner.paint.recipe.expose_secret(),
        "lime and milk",
        "a file takes precedence over a variable"
    );

    // One error, although the value that the file would have replaced is invalid, too.
    let variables = [
        ("APP__TRIM__LAYERS", "many"),
        ("APP__TRIM__LAYERS__FILE", "/nonexistent/layers"),
    ];
    let missing = texts(&load("", &variables).errors);
    let expected = "trim.layers: the file /nonexistent/layers of APP__TRIM__LAYERS__FILE cannot be read: ";
    assert!(
        missing.len() == 1 && missing[0].starts_with(expected),
        "{missing:?}"
    );

    let misplaced = load("", &[("APP__PAINT__LAYERS__FILE", &path)]);
    assert_eq!(
        texts(&misplaced.errors),
        ["paint.layers: expected a whole number"],
        "the content of a file may be a secret"
    );
}

#[test]
fn no_message_repeats_a_secret() {
    #[derive(Debug, Settings)]
    struct Safe {
        #[setting(section)]
        door: Door,
    }
    /// A door.
    #[derive(Debug, Settings)]
    struct Door {
        /// The codes of the door.
        codes: Vec<Code>,
    }
    #[derive(Debug)]
    struct Code;
    impl Setting for Code {
        const SECRET: bool = true;
        fn parse(_: &str) -> Result<Self, String> {
            Err("expected four digits".to_owned())
        }
        fn text(&self) -> String {
            String::new()
        }
    }
    let variables = [("APP__DOOR__CODES".to_owned(), "hunter2".to_owned())];
    let loaded = load_from::<Safe>("", Path::new("/nonexistent"), variables);
    assert_eq!(texts(&loaded.errors), ["door.codes: expected four digits"]);
    assert!(loaded.settings.door.codes.is_empty());
}

#[test]
fn a_default_of_development_applies_nowhere_else() {
    #[derive(Debug, Settings)]
    struct Fence {
        #[setting(section)]
        service: Place,
    }
    /// A place.
    #[derive(Debug, Settings)]
    struct Place {
        /// The environment.
        environment: Option<String>,
        /// The height.
        #[setting(default = 3, in_development = 1, max = 5)]
        height: u32,
    }
    for (environment, expected) in [(None, 1), (Some("development"), 1), (Some("production"), 3)] {
        let variable = environment.map(|name| ("APP__SERVICE__ENVIRONMENT".to_owned(), name.to_owned()));
        let loaded = load_from::<Fence>("", Path::new("/nonexistent"), variable);
        assert_eq!(texts(&loaded.errors), [""; 0]);
        let place = loaded.settings.service;
        assert_eq!(
            (place.height, place.environment.as_deref()),
            (expected, environment)
        );
    }
    let table = settings::markdown::<Fence>("settings");
    let row = "| `service.height` | `3`; in development `1` | The height. |";
    assert!(table.contains(row), "{table}");
}

#[test]
fn the_documentation_has_every_key() {
    let table = settings::markdown::<All>("settings");
    for key in Keys::of::<All>() {
        assert!(table.contains(&format!("| `{}` |", key.path)), "{}", key.path);
    }
    assert!(
        table.contains("| `paint.layers` | `2` | How many layers, one over the other. |"),
        "{table}"
    );
    assert!(
        table.contains("| `paint.drying` | `1h` | Time to dry. |"),
        "{table}"
    );
    assert!(table.contains("`settings/{environment}.toml`"), "{table}");
    let schema = settings::json_schema::<All>();
    let layers = &schema["properties"]["trim"]["properties"]["layers"];
    assert_eq!(
        (&layers["type"], &layers["minimum"], &layers["maximum"]),
        (&"integer".into(), &1.into(), &9.into())
    );
    assert_eq!(layers["default"], 2);
    let colours = &schema["properties"]["paint"]["properties"]["colour"]["enum"];
    assert_eq!(*colours, serde_json::json!(["red", "deep-blue"]));
}
