//! Locks between processes. Takes the name of what only one may work on at a time, or an open file.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use super::files::create_folder;
use super::{Error, Progress, Result};
use crate::home::Home;

/// A lock between processes (and threads), held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    // The file stays when the lock is released: whoever waits for it must wait for the same inode.
    _file: FileLock,
}

/// An open file that is locked, until it is dropped.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Locks an open file. `None` if somebody else has its lock.
    ///
    /// # Errors
    /// The file system's.
    pub fn try_new(file: File) -> std::io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(source),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that another thread starts has a copy of it until it runs its
        // own program, and a lock lasts as long as any copy. Where unlocking fails, closing still releases it.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Waits for the lock called `name`. Says so through `progress` when somebody else has it.
    ///
    /// # Errors
    /// The file system's.
    pub fn acquire(home: &Home, name: &str, progress: &Progress<'_>) -> Result<Self> {
        let (path, file) = Self::open(home, name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress(&format!("waiting for another process that works on {name}"));
                file.lock().map_err(Error::io("lock", &path))?;
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
        }
        Ok(Self { _file: FileLock(file) })
    }

    /// Takes the lock called `name` if nobody has it.
    ///
    /// # Errors
    /// The file system's.
    pub fn try_acquire(home: &Home, name: &str) -> Result<Option<Self>> {
        let (path, file) = Self::open(home, name)?;
        // Whoever asks `is_held` has the lock for a moment; that is not somebody who works under it.
        for _ in 0..20 {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: FileLock(file) })),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path)(source)),
            }
        }
        Ok(None)
    }

    /// Whether somebody has the lock called `name`, in this process or another.
    ///
    /// # Errors
    /// The file system's.
    pub fn is_held(home: &Home, name: &str) -> Result<bool> {
        let path = Self::path(home, name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(Error::io("open the lock", &path))?,
        };
        // Shared: any number may ask at once without taking each other for an owner.
        match file.try_lock_shared() {
            Ok(()) => {
                drop(FileLock(file));
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    fn path(home: &Home, name: &str) -> PathBuf {
        home.locks().join(format!("{name}.lock"))
    }

    fn open(home: &Home, name: &str) -> Result<(PathBuf, File)> {
        create_folder(&home.locks())?;
        let path = Self::path(home, name);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        Ok((path.clone(), opened.map_err(Error::io("open the lock", &path))?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::fetch::silent;

    #[test]
    fn the_second_to_ask_for_a_lock_waits_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let first = Lock::acquire(&home, "x", &silent).unwrap();
        let (tell, told) = mpsc::channel();
        let (done, finished) = mpsc::channel();
        let waiter = std::thread::spawn({
            let home = home.clone();
            move || {
                let _lock = Lock::acquire(&home, "x", &|text: &str| tell.send(text.to_owned()).unwrap()).unwrap();
                done.send(()).unwrap();
            }
        });
        assert!(told.recv().unwrap().contains("another process"));
        finished.try_recv().unwrap_err();
        drop(first);
        finished.recv().unwrap();
        waiter.join().unwrap();
        assert!(home.locks().join("x.lock").exists());
    }

    #[test]
    fn a_lock_can_be_tried_and_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        assert!(!Lock::is_held(&home, "x").unwrap());
        let lock = Lock::try_acquire(&home, "x").unwrap().unwrap();
        assert!(Lock::is_held(&home, "x").unwrap());
        assert!(Lock::try_acquire(&home, "x").unwrap().is_none());
        drop(lock);
        assert!(!Lock::is_held(&home, "x").unwrap());
    }

    #[test]
    fn a_lock_is_released_although_its_file_is_open_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let lock = Lock::acquire(&home, "x", &silent).unwrap();
        let _copy = lock._file.0.try_clone().unwrap();
        drop(lock);
        assert!(!Lock::is_held(&home, "x").unwrap());
    }
}
