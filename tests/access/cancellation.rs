//! Cancel
