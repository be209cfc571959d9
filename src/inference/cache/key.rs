//! What a vector is found by: takes a model's identity, the prompt and the input; gives a key.
//!
//! Two inputs share a key only if BLAKE3 gives the same 128 bits for both.

use debut_udfs::model::Input;

/// The key of a vector.
pub(super) type Key = [u8; 16];

/// The keys of all rows of `input` under `prompt`, for the model with this identity.
pub(super) fn keys(identity: &[u8; 32], prompt: &str, input: &Input) -> Vec<Key> {
    let mut begun = blake3::Hasher::new();
    begun.update(identity);
    begun.update(&(prompt.len() as u64).to_le_bytes());
    begun.update(prompt.as_bytes());
    (0..input.rows())
        .map(|row| {
            let mut hasher = begun.clone();
            hasher.update(input.row(row).0);
            let mut key = [0; 16];
            key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            key
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn model_prompt_and_content_all_make_the_key() {
        let text = |texts: &[&str]| Input::Texts(StringArray::from(texts.to_vec()));
        let all = keys(&[1; 32], "", &text(&["a", "b", "a"]));
        assert_eq!(all[0], all[2]);
        let mut different = vec![all[0], all[1]];
        different.extend(keys(&[2; 32], "", &text(&["a"])));
        // The prompt and the text do not run together.
        different.extend(keys(&[1; 32], "query: ", &text(&["a"])));
        different.extend(keys(&[1; 32], "", &text(&["query: a", ""])));
        different.extend(keys(&[1; 32], "query", &text(&[": a"])));
        let count = different.len();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), count);
    }
}
