//! Small files into one: takes paths; gives a finished file beside them, which is not under a name yet.

use std::path::PathBuf;

use super::FeedbackError;
use super::folder::{Folder, Unfinished, reader};

/// A file below this size is small.
const SMALL: u64 = 4 << 20;

/// So many small files are merged.
const MANY: usize = 16;

/// Most files that are merged at a time.
const MOST: usize = 256;

/// Files to merge.
#[derive(Debug)]
pub(super) struct Plan {
    /// Their numbers, oldest first.
    pub(super) numbers: Vec<u64>,
    files: Vec<PathBuf>,
    /// Where the merged file is written.
    target: PathBuf,
}

impl Plan {
    /// What there is to merge, if it is enough.
    pub(super) fn of(folder: &Folder) -> Option<Self> {
        let small = folder.files().filter(|(_, size)| *size < SMALL).map(|(number, _)| number);
        let numbers: Vec<u64> = small.take(MOST).collect();
        if numbers.len() < MANY {
            return None;
        }
        let files = numbers.iter().map(|number| folder.file(*number)).collect();
        let target = folder.unfinished("merged");
        Some(Self { numbers, files, target })
    }

    /// Writes the merged file. Gives its path.
    ///
    /// # Errors
    /// A file cannot be read, or the merged one not written.
    pub(super) fn run(&self) -> Result<PathBuf, FeedbackError> {
        let failed = |source| FeedbackError::File { action: "merge", path: self.target.clone(), source };
        let mut merged: Option<Unfinished> = None;
        for path in &self.files {
            let damaged = |reason: String| FeedbackError::Damaged { path: path.clone(), reason };
            let builder = reader(path)?;
            let schema = builder.schema().clone();
            let out = match &mut merged {
                Some(out) => out,
                none => none.insert(Unfinished::create(&self.target, schema).map_err(failed)?),
            };
            for batch in builder.build().map_err(|error| damaged(error.to_string()))? {
                out.write(&batch.map_err(|error| damaged(error.to_string()))?).map_err(failed)?;
            }
        }
        if let Some(merged) = merged {
            merged.finish().map_err(failed)?;
        }
        Ok(self.target.clone())
    }
}
