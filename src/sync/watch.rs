//! Being told by the system that something in a tree changes (inotify(7)): which folders, how much went by unseen. What
//! changed is not told: a pass looks at the whole tree, which costs little and misses nothing.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::content::name;

/// What the system told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Something in a watched folder changed.
    Changed,
    /// So much changed that the system gave up telling.
    Overflow,
}

/// How far a tree is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cover {
    /// Folders that are watched.
    pub folders: u64,
    /// Some of these for the first time: what changed in them before went by unseen.
    pub news: bool,
    /// Not all of them could be: the system's limit is reached, or it cannot.
    pub partial: bool,
}

/// Watches the folders of one tree.
#[derive(Debug)]
pub struct Watcher {
    top: PathBuf,
    system: Option<system::Inotify>,
    watches: HashSet<i32>,
    /// Folders that have their watch.
    known: HashSet<String>,
}

impl Watcher {
    /// Watches nothing yet. What the system cannot do is no error: [`Cover::partial`] says so.
    pub fn new(top: &Path) -> Self {
        let system = system::Inotify::new()
            .inspect_err(|error| tracing::warn!(target: "sync", %error, "the system tells no changes"))
            .ok();
        Self { top: top.to_owned(), system, watches: HashSet::new(), known: HashSet::new() }
    }

    /// Never tells anything.
    pub fn blind(top: &Path) -> Self {
        Self { top: top.to_owned(), system: None, watches: HashSet::new(), known: HashSet::new() }
    }

    /// Watches these folders of the tree (paths as in [`super::entry::Tree`]), all there are. Blocks.
    pub fn cover<'a>(&mut self, folders: impl Iterator<Item = &'a str>) -> Cover {
        let mut cover = Cover::default();
        let mut known = HashSet::new();
        for folder in folders {
            if self.known.contains(folder) {
                cover.folders += 1;
                known.insert(folder.to_owned());
                continue;
            }
            let Ok(raw) = name::unescape(folder) else { continue };
            match self.system.as_ref().map(|system| system.add(&self.top.join(raw))) {
                Some(Ok(watch)) => {
                    cover.news |= self.watches.insert(watch);
                    cover.folders += 1;
                    known.insert(folder.to_owned());
                }
                // Gone since it was seen: that is a change of the folder above.
                Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => cover.news = true,
                Some(Err(error)) => {
                    if !cover.partial {
                        tracing::warn!(
                            target: "sync", %error,
                            "not every folder can be watched (see fs.inotify.max_user_watches): the tree is looked at more often"
                        );
                    }
                    cover.partial = true;
                }
                None => cover.partial = true,
            }
        }
        self.known = known;
        cover
    }

    /// Waits until something changes, and takes in all that was told by then.
    ///
    /// # Errors
    /// The system does not tell any more.
    pub async fn changed(&mut self) -> io::Result<Told> {
        let Some(system) = &self.system else { return std::future::pending().await };
        let news = system.read().await?;
        if news.overflow || news.folders {
            // Which watch belongs to which name is not certain any more.
            self.known.clear();
        }
        for watch in &news.gone {
            self.watches.remove(watch);
        }
        Ok(if news.overflow { Told::Overflow } else { Told::Changed })
    }
}

/// What was read at once.
#[derive(Debug, Default)]
struct News {
    overflow: bool,
    /// Folders came, went or were renamed.
    folders: bool,
    /// Watches that have ended.
    gone: Vec<i32>,
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::path::Path;

    use rustix::fd::OwnedFd;
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::News;

    /// Bytes read at once: some hundred events.
    const BUFFER: usize = 16 << 10;

    #[derive(Debug)]
    pub(super) struct Inotify(AsyncFd<OwnedFd>);

    impl Inotify {
        // It is of no good with handles that are not their owner's alone; its successor cannot be called without `unsafe`.
        #[allow(deprecated)]
        pub(super) fn new() -> io::Result<Self> {
            let handle: OwnedFd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            Ok(Self(AsyncFd::with_interest(handle, Interest::READABLE)?))
        }

        pub(super) fn add(&self, folder: &Path) -> io::Result<i32> {
            let what = WatchFlags::ATTRIB
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MODIFY
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR
                | WatchFlags::DONT_FOLLOW;
            Ok(inotify::add_watch(self.0.get_ref(), folder, what)?)
        }

        pub(super) async fn read(&self) -> io::Result<News> {
            loop {
                let mut ready = self.0.readable().await?;
                let mut buffer = [MaybeUninit::uninit(); BUFFER];
                let mut reader = inotify::Reader::new(self.0.get_ref(), &mut buffer);
                let (mut news, mut any) = (News::default(), false);
                loop {
                    match reader.next() {
                        Ok(event) => {
                            any = true;
                            let flags = event.events();
                            news.overflow |= flags.contains(ReadFlags::QUEUE_OVERFLOW);
                            news.folders |= flags.contains(ReadFlags::ISDIR) || flags.contains(ReadFlags::IGNORED);
                            if flags.contains(ReadFlags::IGNORED) {
                                news.gone.push(event.wd());
                            }
                        }
                        Err(Errno::WOULDBLOCK) => break,
                        Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                ready.clear_ready();
                if any {
                    return Ok(news);
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::path::Path;

    use super::News;

    /// Trees are looked at now and then.
    #[derive(Debug)]
    pub(super) struct Inotify;

    impl Inotify {
        pub(super) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn add(&self, _: &Path) -> io::Result<i32> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) async fn read(&self) -> io::Result<News> {
            std::future::pending().await
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn told(watcher: &mut Watcher) -> Told {
        tokio::time::timeout(PATIENCE, watcher.changed()).await.expect("nothing was told").unwrap()
    }

    #[tokio::test]
    async fn changes_in_covered_folders_are_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let mut watcher = Watcher::new(dir.path());
        let cover = watcher.cover(["", "a"].into_iter());
        assert_eq!(cover, Cover { folders: 2, news: true, partial: false });
        assert!(!watcher.cover(["", "a"].into_iter()).news);
        fs::write(dir.path().join("a/f"), "x").unwrap();
        assert_eq!(told(&mut watcher).await, Told::Changed);
        // A new folder, a renamed one: each is watched from the next look on.
        fs::create_dir(dir.path().join("a/b")).unwrap();
        told(&mut watcher).await;
        assert!(watcher.cover(["", "a", "a/b"].into_iter()).news);
        fs::rename(dir.path().join("a"), dir.path().join("c")).unwrap();
        told(&mut watcher).await;
        let cover = watcher.cover(["", "c", "c/b"].into_iter());
        assert_eq!(cover, Cover { folders: 3, news: false, partial: false }, "these are the same folders");
        fs::write(dir.path().join("c/b/f"), "x").unwrap();
        told(&mut watcher).await;
        fs::remove_dir_all(dir.path().join("c")).unwrap();
        told(&mut watcher).await;
        assert!(watcher.cover(["", "c"].into_iter()).news, "one is gone: look again");
    }

    #[tokio::test]
    async fn an_overflow_is_told_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let most: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        let mut watcher = Watcher::new(dir.path());
        watcher.cover([""].into_iter());
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "x").unwrap();
        // Two events each, none equal to the one before it (such are told once).
        for n in 0..most / 2 + 10 {
            let (from, to) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
            fs::rename(from, to).unwrap();
        }
        assert_eq!(told(&mut watcher).await, Told::Overflow);
    }
}
