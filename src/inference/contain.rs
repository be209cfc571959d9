//! Panics of foreign code: takes work that calls into it; gives its result, or what the panic said.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic within is its error.
///
/// What `work` holds must make sense after it was left in the middle: it only reads, or is thrown away.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = CONTAINED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    result.map_err(|payload| message(payload.as_ref()))
}

/// Whether a panic of this thread would be contained, and somebody will be told of it.
pub(crate) fn is_contained() -> bool {
    CONTAINED.get()
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("it gave no reason").to_owned()
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(contained(|| 1), Ok(1));
        let number = 7;
        assert_eq!(contained(|| panic!("number {number}")), Err::<(), _>("number 7".to_owned()));
        assert_eq!(contained(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(contained(|| std::panic::panic_any(1)), Err::<(), _>("it gave no reason".to_owned()));
    }

    #[test]
    fn only_what_is_inside_is_contained() {
        assert!(!is_contained());
        let inside = contained(|| {
            let inner = contained(|| panic!("inner"));
            (inner, is_contained(), std::thread::scope(|scope| scope.spawn(is_contained).join().ok()))
        });
        assert_eq!(inside, Ok((Err::<(), _>("inner".to_owned()), true, Some(false))));
        assert!(!is_contained());
    }
}
