//! `checkpoint.safetensors`: all that training needs to go on after its process died, in one file that is replaced whole.
//!
//! Takes tensors and how far the run has come; gives the same back, bit for bit. The progress stands in the file's
//! metadata, with a checksum of the tensors, so that a file that was damaged on disk is noticed. What is finished of a
//! training of several parts is kept in files of the same form.
//!
//! Format: <https://github.com/huggingface/safetensors>.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;

use crc32c::{crc32c, crc32c_append};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::fetch::files;

/// The file's name.
pub const FILE: &str = "checkpoint.safetensors";
/// The beginning and the end of the names of files that keep what is finished of a training of several parts.
const PART: [&str; 2] = ["part-", ".safetensors"];

/// The key in the file's metadata.
const STATE: &str = "debut";
/// Values that are converted at a time.
const BLOCK: usize = 1 << 14;

/// A state to go on from.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// How far training has come.
    pub progress: Progress,
    /// Names, shapes and values: what is trained, the optimizer's moments, and the best epoch's values. Names differ.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

/// How far training has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are done.
    pub epoch: u64,
    /// Steps of the optimizer that were taken.
    pub step: u64,
    /// The epoch with the best metric, if one was measured.
    pub best_epoch: Option<u64>,
    /// What every epoch gave.
    pub history: Vec<Epoch>,
}

impl Progress {
    /// The best epoch's row.
    pub fn best(&self) -> Option<&Epoch> {
        self.history.iter().find(|epoch| Some(epoch.epoch) == self.best_epoch)
    }
}

/// What an epoch gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Which, counted from 1.
    pub epoch: u64,
    /// Steps that were taken by its end.
    pub step: u64,
    /// Mean loss of its steps.
    #[serde(with = "exact")]
    pub train_loss: Option<f64>,
    /// Loss on the held-out examples.
    #[serde(with = "exact")]
    pub validation_loss: Option<f64>,
    /// The objective's metric.
    #[serde(with = "exact")]
    pub metric: Option<f64>,
    /// The learning rate of its last step.
    #[serde(with = "exact")]
    pub learning_rate: Option<f64>,
    /// Seconds of training by its end.
    pub seconds: f64,
}

/// Numbers as text: what is read must be what was written, to the last bit, or a resumed run could choose another best
/// epoch than one that was not interrupted. JSON's numbers promise neither that nor NaN.
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(|value| value.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// What stands in the metadata.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    crc32c: u32,
    progress: Progress,
}

/// The name of the file that keeps what a part of a training came to, counted from 1.
pub(super) fn part_file(part: usize) -> String {
    let [before, behind] = PART;
    format!("{before}{part}{behind}")
}

/// Whether a file of this name is of no use once its run has ended for good.
pub(super) fn is_for_resuming(name: &str) -> bool {
    let [before, behind] = PART;
    name == FILE || (name.starts_with(before) && name.ends_with(behind))
}

impl Checkpoint {
    /// Writes it into a run's folder, in place of the last one.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        self.write(&folder.join(FILE))
    }

    /// Writes it into a file, in place of what is there.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let header = self.header().map_err(Error::io("write", path))?;
        files::write_with(path, |file| {
            // Eight bytes of length, the header, and then values without gaps.
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            self.blocks(|bytes| file.write_all(bytes))
        })?;
        Ok(())
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        // That of no bytes.
        let mut checksum = 0;
        self.blocks(|bytes| {
            checksum = crc32c_append(checksum, bytes);
            Ok(())
        })?;
        let state = serde_json::to_string(&State { crc32c: checksum, progress: self.progress.clone() })?;
        let mut start = 0;
        let tensors = self.tensors.iter().map(|(name, shape, values)| {
            let data_offsets = (start, start + size_of_val(values.as_slice()));
            start = data_offsets.1;
            (name.clone(), TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets })
        });
        let metadata = Metadata::new(Some(HashMap::from([(STATE.to_owned(), state)])), tensors.collect())
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        if metadata.offset_keys().len() != self.tensors.len() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "two tensors have the same name"));
        }
        let mut header = serde_json::to_vec(&metadata)?;
        // The values begin at a multiple of eight bytes, so that readers can map them.
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(header)
    }

    /// All values, little-endian, in blocks of bounded size.
    fn blocks(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BLOCK * size_of::<f32>());
        for (_, _, values) in &self.tensors {
            for block in values.chunks(BLOCK) {
                bytes.clear();
                bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
                write(&bytes)?;
            }
        }
        Ok(())
    }

    /// The one in a run's folder, if there is one.
    pub(super) fn load(folder: &Path) -> Result<Option<Self>> {
        Self::read(&folder.join(FILE))
    }

    /// The one in a file, if there is one.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(Error::io("read", path))?,
        };
        Self::parse(&bytes).map(Some).map_err(|reason| Error::damaged(path, reason))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (length, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|error| format!("is cut off or overwritten ({error})"))?;
        let state = metadata.metadata().as_ref().and_then(|pairs| pairs.get(STATE));
        let state = state.ok_or("is a safetensors file, but no checkpoint")?;
        let State { crc32c: checksum, progress } =
            serde_json::from_str(state).map_err(|error| format!("is of another version of Debut ({error})"))?;
        let data = bytes.get(size_of::<u64>() + length..).unwrap_or_default();
        if crc32c(data) != checksum {
            return Err("has other values than were written (its checksum is wrong)".to_owned());
        }
        let tensors = metadata.offset_keys().into_iter().map(|name| {
            let info = metadata.info(&name).filter(|info| info.dtype == Dtype::F32);
            let info = info.ok_or_else(|| format!("has a tensor '{name}' that is not of 32-bit floats"))?;
            let values = data.get(info.data_offsets.0..info.data_offsets.1).unwrap_or_default();
            let values = values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Ok((name, info.shape.clone(), values))
        });
        Ok(Self { progress, tensors: tensors.collect::<Result<_, String>>()? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checkpoint() -> Checkpoint {
        let row = |epoch, metric| Epoch {
            epoch,
            step: 10 * epoch,
            train_loss: Some(f64::from(0.1_f32)),
            validation_loss: Some(f64::NAN),
            metric: Some(metric),
            learning_rate: None,
            seconds: 1.5,
        };
        Checkpoint {
            progress: Progress { epoch: 2, step: 20, best_epoch: Some(1), history: vec![row(1, 0.7), row(2, 0.6)] },
            tensors: vec![
                ("z".to_owned(), vec![2, 3], vec![1.0, -0.0, f32::MIN_POSITIVE, f32::MAX, 1e-45, 3.0]),
                ("scalar".to_owned(), vec![], vec![0.1]),
                ("empty".to_owned(), vec![0, 4], vec![]),
            ],
        }
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::load(folder.path()).unwrap(), None);
        let mut written = checkpoint();
        written.save(folder.path()).unwrap();
        written.progress.history[0].validation_loss = None;
        written.progress.history[1].validation_loss = None;
        let mut read = Checkpoint::load(folder.path()).unwrap().unwrap();
        assert_eq!(read.progress.best().unwrap().epoch, 1);
        for epoch in &mut read.progress.history {
            assert!(epoch.validation_loss.take().unwrap().is_nan());
        }
        assert_eq!(read.progress, written.progress);
        // Tensors come in the order of their bytes; one without any may stand anywhere.
        read.tensors.sort_by(|a, b| a.0.cmp(&b.0));
        written.tensors.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(read, written);
    }

    #[test]
    fn other_programs_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        checkpoint().save(folder.path()).unwrap();
        let bytes = std::fs::read(folder.path().join(FILE)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let z = tensors.tensor("z").unwrap();
        assert_eq!((z.shape(), &z.data()[..4]), (&[2, 3][..], &1.0_f32.to_le_bytes()[..]));
        assert_eq!(z.data().as_ptr() as usize % 8, bytes.as_ptr() as usize % 8);
    }

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        // Appendix B.4: 32 bytes of zeros have 0x8A9136AA.
        let tensors = vec![("zeros".to_owned(), vec![8], vec![0.0; 8])];
        let header = Checkpoint { progress: Progress::default(), tensors }.header().unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let state: State = serde_json::from_str(header["__metadata__"][STATE].as_str().unwrap()).unwrap();
        assert_eq!(state.crc32c, 0x8A91_36AA);
        // Of several blocks it is that of all their bytes.
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f32> = (0..3 * BLOCK as u32 + 1).map(|value| value as f32).collect();
        let written = Checkpoint {
            progress: Progress::default(),
            tensors: vec![("blocks".to_owned(), vec![values.len()], values)],
        };
        written.save(folder.path()).unwrap();
        assert_eq!(Checkpoint::load(folder.path()).unwrap().unwrap(), written);
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        checkpoint().save(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let complain = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let message = Checkpoint::load(folder.path()).unwrap_err().to_string();
            assert!(message.contains(FILE), "{message}");
        };
        for end in 0..whole.len() {
            complain(&whole[..end]);
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        complain(&flipped);
        complain(b"not a checkpoint");
        // A checkpoint that is written later takes its place.
        checkpoint().save(folder.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn names_that_are_given_twice_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut twice = checkpoint();
        twice.tensors[1].0 = "z".to_owned();
        assert!(twice.save(folder.path()).is_err());
        assert_eq!(Checkpoint::load(folder.path()).unwrap(), None);
    }

    proptest! {
        #[test]
        fn numbers_keep_every_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let row = Epoch { metric: Some(value), ..Epoch::default() };
            let back: Epoch = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
            let back = back.metric.unwrap();
            prop_assert!(back.to_bits() == bits || (value.is_nan() && back.is_nan()));
        }

        #[test]
        fn tensors_keep_every_bit(bits in prop::collection::vec(any::<u32>(), 0..50)) {
            let folder = tempfile::tempdir().unwrap();
            let values: Vec<f32> = bits.iter().copied().map(f32::from_bits).collect();
            let tensors = vec![("t".to_owned(), vec![values.len()], values)];
            Checkpoint { progress: Progress::default(), tensors }.save(folder.path()).unwrap();
            let read = Checkpoint::load(folder.path()).unwrap().unwrap();
            prop_assert_eq!(read.tensors[0].2.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), bits);
        }
    }
}
