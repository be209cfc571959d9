//! A table of the session by its name, from code that is not asynchronous.
//!
//! Takes a session and names; gives the table.

use std::future::Future;
use std::sync::Arc;

use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, TableReference, exec_datafusion_err, plan_err};
use tokio::runtime::{Builder, Handle, RuntimeFlavor};

use super::Caller;

/// The first of the names that is a table.
pub(crate) fn find(
    caller: Caller,
    session: &dyn Session,
    names: &[TableReference],
) -> Result<(TableReference, Arc<dyn TableProvider>)> {
    for name in names {
        if let Some(table) = lookup(caller, session, name)? {
            return Ok((name.clone(), table));
        }
    }
    let wanted = names.last().map_or("", TableReference::table);
    let known = known_tables(session);
    plan_err!(
        "{}: there is no table '{wanted}'; {known}. Name a file by its path, or \
         make a view of a query; a WITH query is not visible here",
        caller.name
    )
}

fn lookup(caller: Caller, session: &dyn Session, name: &TableReference) -> Result<Option<Arc<dyn TableProvider>>> {
    let defaults = &session.config_options().catalog;
    let name = name.clone().resolve(&defaults.default_catalog, &defaults.default_schema);
    let Some(schema) = session.catalog_list().catalog(&name.catalog).and_then(|catalog| catalog.schema(&name.schema))
    else {
        return Ok(None);
    };
    wait(async { schema.table(&name.table).await })
        .map_err(|error| error.context(format!("{}: table '{}' cannot be read", caller.name, name.table)))
}

fn known_tables(session: &dyn Session) -> String {
    let defaults = &session.config_options().catalog;
    let schema = session
        .catalog_list()
        .catalog(&defaults.default_catalog)
        .and_then(|catalog| catalog.schema(&defaults.default_schema));
    let mut names = schema.map(|schema| schema.table_names()).unwrap_or_default();
    names.sort_unstable();
    match names.as_slice() {
        [] => "no tables are registered".to_string(),
        names => format!("there are {}", names.join(", ")),
    }
}

/// Runs a future to its end.
///
/// In a runtime of many threads this one steps aside for the others; otherwise nobody else would drive the future's I/O,
/// so it gets a thread and a runtime of its own.
fn wait<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(|| handle.block_on(future))
        }
        _ => std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = Builder::new_current_thread().enable_all().build();
                runtime.map_err(DataFusionError::from)?.block_on(future)
            });
            thread.join().unwrap_or_else(|_| Err(exec_datafusion_err!("looking up the table panicked")))
        }),
    }
}
