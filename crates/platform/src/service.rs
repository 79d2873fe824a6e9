//! The definition of a service.

use std::{fmt, path::Path};

use database::{MigrationSet, Schema};
use http_server::{Configure, Contract};
use management::Requirement;
use outcome::Catalogue;
use settings::{Errors, Loaded};

use crate::{Platform, Settings};

/// The part of a service that does not depend on the types of its settings and its state.
#[derive(Clone, Copy, Debug)]
pub struct ServiceDefinition {
    /// The version of the service.
    pub version: &'static str,
    /// All problem types of the service.
    pub catalogue: Catalogue,
    /// The database schema that the service needs.
    pub schema: Schema,
    /// Registers the operations of the service.
    pub operations: Configure,
    /// Whether the service uses Redis.
    pub redis: bool,
    /// Whether the service has jobs.
    pub jobs: bool,
}

impl ServiceDefinition {
    /// The contract of the service.
    pub fn contract(&self) -> Contract {
        Contract {
            register: self.operations,
            version: self.version,
            jobs: self.jobs,
        }
    }
}

/// A service with settings of type `C` and a state of type `S`, which its handlers and jobs use.
pub struct Service<C: 'static, S: 'static> {
    pub(crate) definition: ServiceDefinition,
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

/// Builds a [`Service`].
#[derive(Debug)]
pub struct ServiceBuilder<C: 'static, S: 'static>(Service<C, S>);

impl<C, S> Service<C, S> {
    /// Starts the definition of a service with this version and these problem types and operations. `state` builds its
    /// state, once per process.
    pub const fn builder(
        version: &'static str,
        catalogue: Catalogue,
        operations: Configure,
        state: fn(&C, &Platform) -> anyhow::Result<S>,
    ) -> ServiceBuilder<C, S> {
        ServiceBuilder(Self {
            definition: ServiceDefinition {
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

    /// The part of the service that does not depend on its types.
    pub const fn definition(&self) -> &ServiceDefinition {
        &self.definition
    }

    /// The kinds of jobs of the service.
    #[cfg(feature = "jobs")]
    pub const fn kinds(&self) -> &'static [jobs::JobKind<S>] {
        self.kinds
    }
}

impl<C: settings::Settings + AsRef<Settings>, S> Service<C, S> {
    /// Reads the configuration from the service's defaults, `{environment}.toml` in this folder, and environment
    /// variables.
    pub fn load(&self, folder: &Path) -> Loaded<C> {
        self.checked(settings::load(self.default_toml, folder))
    }

    /// Like [`load`](Self::load), but with these environment variables and without a folder.
    pub fn load_from(&self, variables: impl IntoIterator<Item = (String, String)>) -> Loaded<C> {
        self.checked(settings::load_from(
            self.default_toml,
            Path::new("/nonexistent"),
            variables,
        ))
    }

    /// The name of the service in its own defaults.
    pub fn name(&self) -> String {
        let defaults = self.load_from([]).settings;
        defaults.as_ref().service.name.clone()
    }

    /// Adds the errors that depend on whether the service uses Redis.
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
    /// The service's default settings for every environment, as TOML: the text of its `default.toml`.
    pub const fn defaults(mut self, toml: &'static str) -> Self {
        self.0.default_toml = toml;
        self
    }

    /// The default of `--config`: the folder that contains `{environment}.toml`, relative to the working directory.
    /// `config` if not set.
    pub const fn config_folder(mut self, folder: &'static str) -> Self {
        self.0.config_folder = folder;
        self
    }

    /// The service's own migrations. They run after those of the platform's tables.
    pub const fn migrations(mut self, migrations: &'static MigrationSet) -> Self {
        self.0.migrations = Some(migrations);
        self
    }

    /// Adds Redis: caches, and quotas that all replicas share. Without Redis, quotas are counted in each process.
    #[cfg(feature = "cache")]
    pub const fn redis(mut self) -> Self {
        self.0.definition.redis = true;
        self
    }

    /// Adds jobs of these kinds, with a worker and the tables that they need.
    #[cfg(feature = "jobs")]
    pub const fn jobs(mut self, kinds: &'static [jobs::JobKind<S>]) -> Self {
        self.0.kinds = kinds;
        self.0.definition.jobs = true;
        self
    }

    /// Completes the service.
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
