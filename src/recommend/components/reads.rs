//! What of an item a component goes by.

/// What a component goes by. It knows nothing of an item that has no such thing, whose score is then as high as the user's
/// scores usually are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Its text.
    Text,
    /// Its picture.
    Picture,
    /// Something that every item has, or more than one thing.
    Other,
}
