//! The bytes that are moved, and what changes of them.

use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::program::{Content, Edit};

/// Writes content that is random but the same for the same seed.
pub(super) fn make_content(path: &Path, content: &Content) -> io::Result<()> {
    let Content { bytes, files, seed, .. } = *content;
    let mut rng = fastrand::Rng::with_seed(seed);
    let write = |path: &Path, mut left: usize, rng: &mut fastrand::Rng| -> io::Result<()> {
        let mut file = std::fs::File::create(path)?;
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let part = &mut buffer[..left.min(1 << 20)];
            rng.fill(part);
            file.write_all(part)?;
            left -= part.len();
        }
        Ok(())
    };
    if files == 0 {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        return write(path, bytes, &mut rng);
    }
    for at in 0..files {
        let folder = path.join(format!("n{:02}", at % 20));
        std::fs::create_dir_all(&folder)?;
        let size = rng.usize(bytes / files / 2..bytes / files * 3 / 2);
        write(&folder.join(format!("{at:05}.jpg")), size, &mut rng)?;
    }
    Ok(())
}

/// Changes a file in a few places.
pub(super) fn edit(path: &Path, edits: &[Edit]) -> io::Result<()> {
    let file = std::fs::File::options().write(true).open(path)?;
    for Edit { offset, bytes, seed } in edits {
        let mut data = vec![0; *bytes];
        fastrand::Rng::with_seed(*seed).fill(&mut data);
        file.write_all_at(&data, *offset)?;
    }
    Ok(())
}
