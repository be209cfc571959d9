//! What is fitted as named values, to be written into the two files of a recommender and read again.
//!
//! Numbers are tensors of `numbers.safetensors`, everything else is JSON. Each part and each component has a [`Section`] of
//! its own when it is saved and a [`StoredSection`] when it is loaded, so that none has to know the names of another. Which
//! sections there are, and where the files lie, is said by `model::store`.

mod read;
mod write;

pub(crate) use read::{Stored, StoredSection};
pub(crate) use write::{Section, Writer};

/// The full name of a value of a section.
fn full_name(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}/{name}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use serde_json::Map;

    use super::*;
    use crate::linalg::dense::Matrix;
    use crate::linalg::ridge::Ridge;
    use crate::linalg::sparse::Csr;

    #[test]
    fn what_is_read_is_what_was_written() {
        let matrix = Matrix::new(2, 3, vec![0.5, -1.0, f32::NAN, 0.0, f32::INFINITY, 1e-40]);
        let sparse = Csr::from_rows(4, [vec![(3, 1.0), (0, 2.0)], vec![]]);
        let mut writer = Writer::default();
        let mut section = writer.section("one");
        section.matrix("matrix", &matrix);
        section.section("inner").csr("sparse", &sparse);
        section.u32s("numbers", [7, u32::MAX].into_iter());
        section.ridge("ridge", &Ridge { weights: matrix.clone(), intercept: vec![1.5] });
        section.value("settings", &("a", 3)).unwrap();
        let (tensors, values) = writer.into_parts();
        let bytes = tensors.into_bytes().unwrap();
        let stored = Stored::new(&bytes, values, Path::new("file")).unwrap();
        let section = stored.section("one");
        assert_eq!(section.matrix("matrix").unwrap().values()[5], 1e-40);
        assert!(section.matrix("matrix").unwrap().values()[2].is_nan());
        assert_eq!(section.section("inner").csr("sparse").unwrap(), sparse);
        assert_eq!(section.u32s("numbers").unwrap(), [7, u32::MAX]);
        assert_eq!(section.ridge("ridge").unwrap().intercept, [1.5]);
        assert_eq!(section.value::<(String, u8)>("settings").unwrap(), ("a".into(), 3));
        assert!(section.has("matrix") && !section.has("sparse"));
    }

    #[test]
    fn what_is_not_there_or_something_else_is_named() {
        let mut writer = Writer::default();
        let mut section = writer.section("one");
        section.floats("row", &[1.0]);
        section.value("settings", &3).unwrap();
        let (tensors, values) = writer.into_parts();
        let bytes = tensors.into_bytes().unwrap();
        let stored = Stored::new(&bytes, values, Path::new("file")).unwrap();
        let section = stored.section("one");
        let fails = |error: String, part: &str| assert!(error.contains(part) && error.contains("damaged"), "{error}");
        fails(section.matrix("row").unwrap_err().to_string(), "one/row is no matrix");
        fails(section.u32s("row").unwrap_err().to_string(), "one/row holds F32");
        fails(section.floats("other").unwrap_err().to_string(), "one/other");
        fails(section.value::<u8>("other").unwrap_err().to_string(), "one/other is not there");
        fails(section.value::<String>("settings").unwrap_err().to_string(), "one/settings");
        assert!(Stored::new(b"no tensors", Map::new(), Path::new("file")).is_err());
    }
}
