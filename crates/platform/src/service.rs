//! What a service is made of.

use std::{fmt, path::Path};

use database::{MigrationSet, Schema};
use http_server::{Configure, Contract};
use management::Requirement;
use outcome::Catalogue;
use settings::{Errors, Loaded};

use crate::{Platform, Settings};

/// What is known of a service without the types of its settings and its state.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its version.
    pub version: &'static str,
    /// All its problem types.
    pub catalogue: Catalogue,
    /// The schema that it needs.
    pub schema: Schema,
    /// Registers its operations.
    pub operations: Configure,
    /// Whether it has Redis.
    pub redis: bool,
    /// Whether it has jobs.
    pub jobs: bool,
}

impl Definition {
    /// What its contract is made of.
    pub fn contract(&self) -> Contract {
        Contract {
            register: self.operations,
            version: self.version,
            jobs: self.jobs,
        }
    }
}

/// A service with settings of the type `C` and a state of the type `S`: what its handlers and jobs work with.
pub struct Service<C: 'static, S: 'static> {
    pub(crate) definition: Definition,
    default_toml: &'static str,
    pub(crate) config_folder: &'static str,
    migrations: Option<&'static MigrationSet>,
    pub(crate) state: fn(&C, &Platform) -> anyhow::Result<S>,
    #[cfg(feature = "jobs")]
    pub(crate) kinds: &'static [jobs::JobKind<S>],
}

impl<C, S> Clone for Service<C, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, S> Copy for Service<C, S> {}

impl<C, S> fmt::Debug for Service<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("definition", &self.definition)
            .finish_non_exhaustive()
    }
}

/// Puts a [`Service`] together.
#[derive(Debug)]
pub struct ServiceBuilder<C: 'static, S: 'static>(Service<C, S>);

impl<C, S> Service<C, S> {
    /// A service of this version, with these problem types and operations, and a `state` that is made once in each
    /// process.
    pub const fn builder(
        version: &'static str,
        catalogue: Catalogue,
        operations: Configure,
        state: fn(&C, &Platform) -> anyhow::Result<S>,
    ) -> ServiceBuilder<C, S> {
        ServiceBuilder(Self {
            definition: Definition {
                version,
                catalogue,
                schema: Schema::new(),
                operations,
                redis: false,
                jobs: false,
            },
            default_toml: "",
            config_folder: "config",
            migrations: None,
            state,
            #[cfg(feature = "jobs")]
            kinds: &[],
        })
    }

    /// What is known of it without its types.
    pub const fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Its kinds of jobs.
    #[cfg(feature = "jobs")]
    pub const fn kinds(&self) -> &'static [jobs::JobKind<S>] {
        self.kinds
    }
}

impl<C: settings::Settings + AsRef<Settings>, S> Service<C, S> {
    /// Reads its configuration from its own defaults, `{environment}.toml` in this folder, and the environment.
    pub fn load(&self, folder: &Path) -> Loaded<C> {
        self.checked(settings::load(self.default_toml, folder))
    }

    /// As [`load`](Self::load), with the environment variables given and no folder.
    pub fn load_from(&self, variables: impl IntoIterator<Item = (String, String)>) -> Loaded<C> {
        self.checked(settings::load_from(
            self.default_toml,
            Path::new("/nonexistent"),
            variables,
        ))
    }

    /// Adds the rules of what this service has.
    fn checked(&self, mut loaded: Loaded<C>) -> Loaded<C> {
        let (mut errors, settings) = (Errors::default(), loaded.settings.as_ref());
        #[cfg(feature = "cache")]
        if self.definition.redis {
            settings.redis.require(&mut errors);
        }
        if !self.definition.redis && settings.readiness.require.contains(&Requirement::Redis) {
            errors.add(
                "readiness.require",
                "names redis, which this service does not have",
            );
        }
        loaded.add(errors);
        loaded
    }
}

impl<C, S> ServiceBuilder<C, S> {
    /// Settings that are true wherever the service runs, as TOML: `default.toml` of its folder.
    pub const fn defaults(mut self, toml: &'static str) -> Self {
        self.0.default_toml = toml;
        self
    }

    /// The folder with `{environment}.toml`, from where the commands run, unless `--config` says otherwise; `config`
    /// without it.
    pub const fn config_folder(mut self, folder: &'static str) -> Self {
        self.0.config_folder = folder;
        self
    }

    /// Its own migrations. Those of the platform's tables run before them.
    pub const fn migrations(mut self, migrations: &'static MigrationSet) -> Self {
        self.0.migrations = Some(migrations);
        self
    }

    /// It has Redis: caches, and quotas that replicas share. Without it quotas count in each process.
    #[cfg(feature = "cache")]
    pub const fn redis(mut self) -> Self {
        self.0.definition.redis = true;
        self
    }

    /// It has jobs of these kinds, and with them a worker and their tables.
    #[cfg(feature = "jobs")]
    pub const fn jobs(mut self, kinds: &'static [jobs::JobKind<S>]) -> Self {
        self.0.kinds = kinds;
        self.0.definition.jobs = true;
        self
    }

    /// The service.
    pub const fn build(mut self) -> Service<C, S> {
        let schema = Schema::new();
        #[cfg(feature = "jobs")]
        let schema = if self.0.definition.jobs {
            schema.with(&jobs::MIGRATIONS)
        } else {
            schema
        };
        self.0.definition.schema = match self.0.migrations {
            Some(migrations) => schema.with(migrations),
            None => schema,
        };
        self.0
    }
}
