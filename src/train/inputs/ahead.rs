//! Batches made ahead: takes what makes a batch and what uses it, runs both at once.

use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, scope};

use crate::train::failure::{Result, Stopped, failed};

/// Hands `each` what `make` makes of 0, 1, 2, ... up to `count`, in this order, until it breaks. The next one is made on a
/// thread of its own meanwhile; at most two are there at a time.
///
/// # Errors
/// The first one of `make` or `each`, or the system starts no more threads.
pub(in crate::train) fn ahead<T: Send>(
    count: usize,
    make: impl Fn(usize) -> Result<T> + Send,
    mut each: impl FnMut(usize, T) -> Result<ControlFlow<()>, Stopped>,
) -> Result<(), Stopped> {
    scope(|scope| {
        // Without room of its own: what is made waits for whoever uses it.
        let (sender, receiver) = sync_channel(0);
        let make_all = move || {
            for index in 0..count {
                let made = make(index);
                let is_last = made.is_err();
                if sender.send(made).is_err() || is_last {
                    return;
                }
            }
        };
        Builder::new().name("debut-batches".into()).spawn_scoped(scope, make_all).map_err(failed)?;
        for (index, made) in receiver.into_iter().enumerate() {
            if each(index, made?)?.is_break() {
                break;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_comes_in_order_until_one_breaks() {
        let mut seen = Vec::new();
        ahead(
            5,
            |index| Ok(index * 10),
            |index, made| {
                seen.push((index, made));
                Ok(if index == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            },
        )
        .unwrap();
        assert_eq!(seen, [(0, 0), (1, 10), (2, 20), (3, 30)]);
        ahead(0, |_| Ok(()), |_, ()| Err(Stopped::Cancelled)).unwrap();
    }

    #[test]
    fn the_first_error_ends_it() {
        let fails = |index| match index {
            2 => Err(failed(std::io::Error::other("the third"))),
            index => Ok(index),
        };
        let mut used = 0;
        let stopped = ahead(9, fails, |_, _| {
            used += 1;
            Ok(ControlFlow::Continue(()))
        });
        assert!(matches!(stopped, Err(Stopped::Failed(failure)) if failure.to_string() == "the third"));
        assert_eq!(used, 2);
        assert!(matches!(ahead(9, Ok, |_, _| Err(Stopped::Cancelled)), Err(Stopped::Cancelled)));
    }
}
