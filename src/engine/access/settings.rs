//! Which settings a served session may change.
//!
//! Takes a setting and its new value; says whether it is harmless: it changes the meaning, the plan or the looks of the
//! session's own statements, and neither how much of the machine they take nor where models run. What is not known to be
//! harmless is refused, and so is what later versions of DataFusion add.

/// Any value of these.
const FREE: [&str; 11] = [
    "datafusion.catalog.default_catalog",
    "datafusion.catalog.default_schema",
    "datafusion.catalog.information_schema",
    "datafusion.execution.time_zone",
    "datafusion.sql_parser.default_null_ordering",
    "datafusion.sql_parser.dialect",
    "datafusion.explain.format",
    "datafusion.explain.analyze_level",
    "debut.model",
    "debut.image_model",
    // Whether the session's own statements use the cache; its folder and its sizes are the process's.
    "debut.cache",
];

/// The family of how values are shown: any value too.
const SHOWN: &str = "datafusion.format.";

/// Families whose switches are harmless. Their numbers are sizes and limits, some of which can exhaust memory or the stack.
const SWITCHES: [&str; 4] =
    ["datafusion.optimizer.", "datafusion.execution.", "datafusion.sql_parser.", "datafusion.explain."];

/// Numbers that are harmless up to a point: a batch is held whole, and a partition is a task.
const LIMITED: [(&str, usize); 2] =
    [("datafusion.execution.batch_size", 65_536), ("datafusion.execution.target_partitions", 256)];

/// Whether `SET name = value` is harmless.
pub(super) fn may_set(name: &str, value: &str) -> bool {
    let is_switch = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
    let limit = LIMITED.iter().find(|(limited, _)| *limited == name);
    FREE.contains(&name)
        || name.starts_with(SHOWN)
        || (is_switch && SWITCHES.iter().any(|family| name.starts_with(family)))
        || limit.is_some_and(|(_, most)| value.trim().parse::<usize>().is_ok_and(|value| value <= *most))
}

/// Whether `RESET name` is harmless: the defaults of what sessions may set are.
pub(super) fn may_reset(name: &str) -> bool {
    FREE.contains(&name) || SWITCHES.iter().chain([&SHOWN]).any(|family| name.starts_with(family))
}

/// The most that a number may be, for messages.
pub(super) fn limit(name: &str) -> Option<usize> {
    LIMITED.iter().find(|(limited, _)| *limited == name).map(|(_, most)| *most)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionConfig;

    use super::*;

    /// Every setting of DataFusion is asked for with a number that would be too large for any of them.
    #[test]
    fn no_size_and_nothing_of_the_process_can_be_set() {
        let config = SessionConfig::new();
        let entries = config.options().entries();
        assert!(entries.len() > 100, "{}", entries.len());
        for entry in entries {
            let harmless = FREE.contains(&entry.key.as_str()) || entry.key.starts_with(SHOWN);
            assert_eq!(may_set(&entry.key, "4000000000"), harmless, "{}", entry.key);
        }
        for (name, value) in [
            ("datafusion.runtime.memory_limit", "1G"),
            ("datafusion.runtime.temp_directory", "/etc"),
            ("datafusion.runtime.list_files_cache_limit", "true"),
            ("datafusion.catalog.location", "file:///etc"),
            ("datafusion.catalog.format", "csv"),
            ("datafusion.sql_parser.recursion_limit", "100000"),
            ("datafusion.optimizer.max_passes", "100000"),
            ("datafusion.execution.batch_size", "65537"),
            ("datafusion.execution.batch_size", "-1"),
            ("datafusion.execution.target_partitions", "257"),
            ("datafusion.execution.parquet.metadata_size_hint", "1000000000"),
            ("datafusion.execution.objectstore_writer_buffer_size", "1000000000000"),
            ("DataFusion.runtime.memory_limit", "1G"),
            ("debut.offline", "false"),
            ("debut.device", "cuda"),
            ("debut.max_batch_tokens", "100000000"),
            ("debut.cache_folder", "/etc"),
            ("debut.cache_size", "1T"),
            ("debut.cache_memory", "1T"),
            ("debut.later", "true"),
        ] {
            assert!(!may_set(name, value), "{name} = {value}");
        }
    }

    #[test]
    fn what_changes_a_sessions_own_statements_can_be_set() {
        for (name, value) in [
            ("datafusion.execution.time_zone", "+02:00"),
            ("datafusion.execution.batch_size", "1024"),
            ("datafusion.execution.parquet.pushdown_filters", "TRUE"),
            ("datafusion.optimizer.prefer_hash_join", "false"),
            ("datafusion.format.null", "-"),
            ("datafusion.sql_parser.dialect", "postgres"),
            ("debut.model", "shop@2"),
            ("debut.image_model", "pictures"),
            ("debut.cache", "off"),
        ] {
            assert!(may_set(name, value) && may_reset(name), "{name} = {value}");
        }
        assert!(!may_reset("datafusion.runtime.memory_limit") && !may_reset("debut.offline"));
        assert!(!may_reset("debut.cache_folder") && !may_reset("debut.cache_size"));
    }
}
