//! Who may log in, as `pg_roles` lists it: takes the user of a session; gives that user's role, and tells of no other user.

use async_trait::async_trait;
use datafusion_pg_catalog::pg_catalog::context::{PgCatalogContextProvider, Role};

/// The user of a session.
#[derive(Debug, Clone)]
pub(super) struct Connected {
    user: String,
}

impl Connected {
    /// This user.
    pub(super) fn new(user: &str) -> Self {
        Self { user: user.to_string() }
    }
}

#[async_trait]
impl PgCatalogContextProvider for Connected {
    async fn roles(&self) -> Vec<String> {
        vec![self.user.clone()]
    }

    async fn role(&self, name: &str) -> Option<Role> {
        (name == self.user).then(|| Role {
            name: name.to_string(),
            is_superuser: false,
            can_login: true,
            can_create_db: false,
            can_create_role: false,
            can_create_user: false,
            can_replication: false,
            grants: Vec::new(),
            inherited_roles: Vec::new(),
        })
    }
}
