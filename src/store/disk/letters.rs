//! The file of dead letters: lines of JSON, appended, for all processes of a folder. When it has grown to its bound it is written anew, with
//! what is not removed, and of that the newest half where it is still too much.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::folder::{self, failed};
use crate::Result;

pub(crate) struct LetterFile {
    path: PathBuf,
    bound: usize,
}

impl LetterFile {
    pub(super) fn new(root: &Path, bound: usize) -> Self {
        Self { path: root.join("dead-letters.ndjson"), bound }
    }

    /// The lines that are there.
    pub(crate) fn read(&self) -> Result<String> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(failed("cannot be read", &self.path, Some(error))),
        }
    }

    /// Appends lines, the newest of them where they are more than the bound. `alive` tells which lines of a text are worth keeping.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Store`] when they could not be written, or when older ones had to go.
    pub(crate) fn append(&mut self, lines: &[String], alive: &dyn Fn(&str) -> Vec<String>) -> Result<()> {
        let unwritten =
            |error| failed(&format!("cannot be written; {} dead letters are not kept", lines.len()), &self.path, Some(error));
        let mut gone = too_many(lines, self.bound);
        let lines = &lines[gone..];
        let bytes = size(lines);
        let _lock = self.lock().map_err(unwritten)?;
        let mut file = self.open().map_err(unwritten)?;
        let mut length = file.metadata().map_err(unwritten)?.len();
        if usize::try_from(length).unwrap_or(usize::MAX).saturating_add(bytes) > self.bound {
            let old = alive(&self.read()?);
            // A half of it, or the next one would have to write it anew again.
            let older = too_many(&old, (self.bound / 2).min(self.bound - bytes));
            file = self.write_anew(&old[older..]).map_err(unwritten)?;
            gone += older;
            length = file.metadata().map_err(unwritten)?.len();
        }
        let mut text = String::with_capacity(bytes + 1);
        if length > 0 && !ends_a_line(&mut file).map_err(unwritten)? {
            // A process was killed while it wrote.
            text.push('\n');
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        file.write_all(text.as_bytes()).map_err(unwritten)?;
        if gone > 0 {
            return Err(failed(&format!("was at its bound; the {gone} oldest dead letters were deleted"), &self.path, None));
        }
        Ok(())
    }

    /// Writes the file anew without what is removed.
    pub(crate) fn tidy(&self, alive: &dyn Fn(&str) -> Vec<String>) -> Result<()> {
        let unwritten = |error| failed("cannot be written", &self.path, Some(error));
        let _lock = self.lock().map_err(unwritten)?;
        self.write_anew(&alive(&self.read()?)).map(drop).map_err(unwritten)
    }

    /// Appends a line that says that others are removed. Where it has no room the file is written anew, without those.
    pub(crate) fn append_removal(&mut self, line: String, alive: &dyn Fn(&str) -> Vec<String>) -> Result<()> {
        let length = fs::metadata(&self.path).map_or(0, |found| found.len());
        if usize::try_from(length).unwrap_or(usize::MAX).saturating_add(line.len() + 2) <= self.bound {
            return self.append(&[line], alive);
        }
        self.tidy(&|text| alive(&[text.trim_end(), "\n", &line].concat()))
    }

    fn write_anew(&self, lines: &[String]) -> io::Result<File> {
        let new = self.path.with_extension("new");
        let mut file = folder::private(OpenOptions::new().read(true).write(true).create(true).truncate(true)).open(&new)?;
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, &self.path)?;
        Ok(file)
    }

    fn open(&self) -> io::Result<File> {
        folder::private(OpenOptions::new().read(true).append(true).create(true)).open(&self.path)
    }

    /// Waits for other processes, which are done soon: each holds it for one write.
    fn lock(&self) -> io::Result<Locked> {
        let name = self.path.with_extension("lock");
        let file = folder::private(OpenOptions::new().write(true).create(true).truncate(false)).open(name)?;
        file.lock()?;
        Ok(Locked(file))
    }
}

/// A process that was forked meanwhile has the file, too: closing alone would leave it locked for as long as that one lives.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // The file is closed in any case.
        let _ = self.0.unlock();
    }
}

fn size(lines: &[String]) -> usize {
    lines.iter().map(|line| line.len() + 1).sum()
}

/// How many lines must go, the first ones, so that the others have no more bytes than that.
fn too_many(lines: &[String], most: usize) -> usize {
    let (mut left, mut gone) = (size(lines), 0);
    while left > most {
        left -= lines[gone].len() + 1;
        gone += 1;
    }
    gone
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(io::SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines but those that say so.
    fn alive(text: &str) -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("dead")).map(str::to_owned).collect()
    }

    fn append(file: &mut LetterFile, line: &str) -> Result<()> {
        file.append(&[line.to_owned()], &alive)
    }

    #[test]
    fn a_line_that_was_cut_off_takes_no_neighbour_along() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LetterFile::new(dir.path(), 1000);
        assert_eq!(file.read().unwrap(), "");
        append(&mut file, "one").unwrap();
        fs::write(&file.path, "one\ntw").unwrap();
        append(&mut file, "three").unwrap();
        assert_eq!(file.read().unwrap(), "one\ntw\nthree\n");
    }

    #[test]
    fn at_its_bound_it_keeps_the_newest_and_tells_what_went() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LetterFile::new(dir.path(), 100);
        (0..9).for_each(|number| append(&mut file, &format!("letter {number}.")).unwrap());
        append(&mut file, "dead").unwrap();
        let error = append(&mut file, "the last").unwrap_err();
        assert!(error.to_string().contains("the 4 oldest dead letters were deleted"), "{error}");
        let lines = file.read().unwrap();
        assert!(lines.starts_with("letter 4.\n") && lines.ends_with("letter 8.\nthe last\n"), "{lines}");

        // What is removed goes first, and nobody is told.
        let dir = tempfile::tempdir().unwrap();
        let mut file = LetterFile::new(dir.path(), 100);
        append(&mut file, "alive").unwrap();
        append(&mut file, &format!("dead {}", "x".repeat(80))).unwrap();
        append(&mut file, "the very last").unwrap();
        assert_eq!(file.read().unwrap(), "alive\nthe very last\n");
    }

    #[test]
    fn more_than_its_bound_at_once_is_cut_to_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LetterFile::new(dir.path(), 100);
        let lines: Vec<_> = (10..30).map(|number| format!("letter {number}")).collect();
        let error = file.append(&lines, &alive).unwrap_err();
        assert!(error.to_string().contains("the 10 oldest dead letters were deleted"), "{error}");
        assert_eq!(file.read().unwrap().lines().collect::<Vec<_>>(), lines[10..]);
    }

    #[test]
    fn a_removal_and_a_tidying_cost_no_other_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LetterFile::new(dir.path(), 100);
        (0..10).for_each(|number| append(&mut file, &format!("letter {number}.")).unwrap());
        let text = file.read().unwrap();
        assert_eq!(text.len(), 100);
        file.tidy(&alive).unwrap();
        file.append_removal("dead and gone".to_owned(), &alive).unwrap();
        assert_eq!(file.read().unwrap(), text);
    }

    #[test]
    fn a_process_that_was_forked_meanwhile_does_not_keep_it_locked() {
        let dir = tempfile::tempdir().unwrap();
        let file = LetterFile::new(dir.path(), 100);
        let lock = file.lock().unwrap();
        let _childs = lock.0.try_clone().unwrap();
        drop(lock);
        File::open(dir.path().join("dead-letters.lock")).unwrap().try_lock().unwrap();
    }

    #[test]
    fn processes_share_it() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let mut file = LetterFile::new(dir.path(), 2000);
                scope.spawn(move || {
                    for number in 0..100 {
                        // Beyond the bound the oldest go, and are told.
                        let _ = append(&mut file, &format!("writer {writer}, line {number}"));
                    }
                });
            }
        });
        let text = LetterFile::new(dir.path(), 2000).read().unwrap();
        assert!(text.len() <= 2000 && text.lines().all(|line| line.starts_with("writer ") && line.contains(", line ")), "{text}");
        for writer in 0..4 {
            let numbers: Vec<u32> =
                text.lines().filter_map(|line| line.strip_prefix(&format!("writer {writer}, line "))?.parse().ok()).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        }
    }
}
