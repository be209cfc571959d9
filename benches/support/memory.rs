//! What this process holds in memory.

/// A line of `/proc/self/status`, in MB.
///
/// # Errors
/// There is no such line.
pub(crate) fn megabytes(line: &str) -> Result<f64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value =
        status.lines().find_map(|entry| entry.strip_prefix(line)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(value.ok_or_else(|| format!("no {line} in /proc/self/status"))? * 1024.0 / 1e6)
}
