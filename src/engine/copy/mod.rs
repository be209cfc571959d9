//! `COPY ... TO` a local file or folder: there is all of it, or what was there before.
//!
//! Takes the logical plan of a statement; gives it with the COPY's output in a folder beside its target, and then, around the
//! physical plan of that COPY, the node that moves the output to its place when it is complete ([`exec`]). DataFusion's own
//! sinks write folders file by file under their final names. Object stores stay as they are: there a file appears when its
//! upload is complete.
//!
//! A folder is replaced whole, so a COPY can be run again after it was stopped. A folder in which there is anything but files
//! of the format that is written is refused: they would be removed with it.

mod exec;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::physical_plan::FileOutputMode;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::physical_plan::ExecutionPlan;

use crate::staging;
use exec::PublishExec;

/// Where a COPY writes until it is complete, and where what it wrote belongs.
#[derive(Debug, Clone)]
struct Output {
    target: PathBuf,
    staging: PathBuf,
    /// What the files of a folder end with; `None` for a single file.
    folder_of: Option<String>,
}

/// The COPY of a plan, if it has one that writes local files.
#[derive(Debug, Default)]
pub(super) struct Staged(Option<Output>);

/// The plan with its COPY's output beside the target. An EXPLAIN stays as it is: it writes nothing.
///
/// # Errors
/// The target cannot be written in one step: it is a pattern, or no file and no folder.
pub(super) fn stage(plan: &LogicalPlan) -> Result<(Cow<'_, LogicalPlan>, Staged)> {
    let copies = |plan: &LogicalPlan| Ok(matches!(plan, LogicalPlan::Copy(_)));
    if !plan.exists(copies)? {
        return Ok((Cow::Borrowed(plan), Staged::default()));
    }
    let mut staged = None;
    let plan = plan.clone().transform_down(|mut node| match &mut node {
        LogicalPlan::Explain(_) => Ok(Transformed::new(node, false, TreeNodeRecursion::Stop)),
        LogicalPlan::Copy(copy) => {
            if let Some(output) = Output::of(copy)? {
                copy.output_url = output.url();
                staged = Some(output);
            }
            Ok(Transformed::new(node, true, TreeNodeRecursion::Stop))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok((Cow::Owned(plan.data), Staged(staged)))
}

impl Staged {
    /// The physical plan with the node that moves the output to its place around the COPY.
    ///
    /// # Errors
    /// A node cannot be rebuilt over its changed input; that would be our mistake.
    pub(super) fn publish(self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(output) = self.0 else { return Ok(plan) };
        let published = plan.transform_up(|node| match node.is::<DataSinkExec>() {
            true => Ok(Transformed::yes(Arc::new(PublishExec::new(node, output.clone())) as Arc<dyn ExecutionPlan>)),
            false => Ok(Transformed::no(node)),
        })?;
        Ok(published.data)
    }
}

impl Output {
    /// `None` for an object store's.
    fn of(copy: &CopyTo) -> Result<Option<Self>> {
        let url = ListingTableUrl::parse(&copy.output_url)?;
        if url.scheme() != "file" {
            return Ok(None);
        }
        if url.get_glob().is_some() {
            return plan_err!("COPY: '{}' is a pattern of files, and COPY writes one file or folder", copy.output_url);
        }
        let mode = match copy.options.get("single_file_output").map(|value| value.trim()) {
            Some("true") => FileOutputMode::SingleFile,
            Some("false") => FileOutputMode::Directory,
            _ => FileOutputMode::Automatic,
        };
        let is_file = copy.partition_by.is_empty() && mode.single_file_output(&url);
        let named = Path::new("/").join(url.prefix().as_ref());
        // A link keeps pointing at what is replaced.
        let target = fs::canonicalize(&named).unwrap_or(named);
        if target.file_name().is_none() {
            return plan_err!("COPY: '{}' cannot be replaced; write a file or folder in it", copy.output_url);
        }
        match fs::metadata(&target) {
            Ok(found) if is_file && found.is_dir() => {
                return plan_err!("COPY: '{}' is a folder, and one file is to be written", copy.output_url);
            }
            Ok(found) if !is_file && found.is_file() => {
                return plan_err!(
                    "COPY: '{}' is a file, and a folder is to be written; a file's name has an extension",
                    copy.output_url
                );
            }
            Ok(found) if !found.is_file() && !found.is_dir() => {
                return plan_err!("COPY: '{}' is neither a file nor a folder", copy.output_url);
            }
            _ => {}
        }
        let folder_of = (!is_file).then(|| copy.file_type.get_ext());
        let output = Self { staging: staging::place(&target), target, folder_of };
        output.check()?;
        Ok(Some(output))
    }

    /// The location of what is written, as DataFusion reads it.
    fn url(&self) -> String {
        let staged = self.staging.join(self.target.file_name().unwrap_or_default());
        let mut url = String::from("file://");
        for byte in staged.as_os_str().as_encoded_bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'=' => url.push(char::from(*byte)),
                byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
                // A space, and what a path would take for a pattern.
                byte => url += &format!("%{byte:02X}"),
            }
        }
        if self.folder_of.is_some() { url + "/" } else { url }
    }

    /// Refuses to replace a folder with files that COPY would not have written.
    fn check(&self) -> Result<()> {
        let Some(extension) = &self.folder_of else { return Ok(()) };
        if !self.target.is_dir() {
            return Ok(());
        }
        match foreign(&self.target, extension) {
            Ok(None) => Ok(()),
            Ok(Some(path)) => plan_err!(
                "COPY: '{}' takes the place of the whole folder, and would remove '{}', which is no {extension} file; write \
                 into a folder of its own",
                self.target.display(),
                path.strip_prefix(&self.target).unwrap_or(&path).display()
            ),
            Err(error) => {
                let context = format!("COPY: cannot read the folder '{}'", self.target.display());
                Err(DataFusionError::from(error).context(context))
            }
        }
    }
}

/// The first thing in a folder that is no file of this format. Hidden files, and those that begin with `_`, are no data.
fn foreign(folder: &Path, extension: &str) -> std::io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if let Some(found) = foreign(&entry.path(), extension)? {
                return Ok(Some(found));
            }
            continue;
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_data = name.split('.').skip(1).any(|part| part.eq_ignore_ascii_case(extension));
        let is_mark = name.starts_with(['.', '_']);
        if !kind.is_file() || !(is_data || is_mark) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
