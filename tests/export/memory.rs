//! The memory of an export does not grow with it: its peak is measured in a process of its own.

#![cfg(target_os = "linux")]

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, BufWriter, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

use amplitude_sdk::server::Export;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{client, gzip, this_hour};

const ARCHIVE_BYTES: u64 = 1_000_000_000;
const LIMIT_KB: u64 = 64_000;

/// What the child does: exports from the URL that it is given, and tells its peak. In the parent's run it has nothing to do.
#[tokio::test]
async fn child() {
    let Ok(url) = env::var("EXPORT_MEMORY_URL") else { return };
    let Export::Events(mut events) = client(url).export(this_hour()).await.unwrap() else { panic!("the answer was 200") };
    let mut count = 0;
    while let Some(event) = events.next().await {
        assert_eq!(event.unwrap().event_type(), "Product Purchased");
        count += 1;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    println!("events={count} peak={peak}");
}

/// Events whose text deflates to about three quarters, as real ones with ids and hashes hardly do.
fn lines(count: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut lines = String::new();
    for number in 0..count {
        lines += &format!("{{\"event_type\":\"Product Purchased\",\"event_id\":{number},\"event_properties\":{{\"note\":\"");
        for _ in 0..300 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            for shift in 0..10 {
                lines.push(char::from(ALPHABET[(state >> (6 * shift) & 63) as usize]));
            }
        }
        lines += "\"}}\n";
    }
    lines
}

/// Answers one request with an archive of that size, made of the same hour again and again while it is sent. Answers how many bytes and
/// events it was.
fn serve(stream: TcpStream, hour: &[u8], events_of_hour: u64) -> io::Result<(u64, u64)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let mut out = BufWriter::with_capacity(1 << 16, reader.into_inner());
    out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\n\r\n")?;
    let mut zip = ZipWriter::new_stream(out);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let hours = ARCHIVE_BYTES.div_ceil(hour.len() as u64);
    for number in 0..hours {
        zip.start_file(format!("7/7_2026-01-01_{number}#0.json.gz"), options)?;
        zip.write_all(hour)?;
    }
    zip.finish()?.into_inner().flush()?;
    Ok((hours * hour.len() as u64, hours * events_of_hour))
}

#[test]
fn one_gigabyte_is_exported_in_less_than_64_megabytes() {
    let events_of_hour = 3000;
    let hour = gzip(lines(events_of_hour).as_bytes());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || serve(listener.accept()?.0, &hour, events_of_hour as u64));
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "memory::child", "--nocapture"])
        .env("EXPORT_MEMORY_URL", url)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{said}");
    let (bytes, events) = server.join().unwrap().unwrap();
    assert!(bytes >= ARCHIVE_BYTES);
    let report = said.lines().find_map(|line| line.strip_prefix("events=")).expect("the child reports");
    let (count, peak) = report.split_once(" peak=").unwrap();
    assert_eq!(count.parse::<u64>().unwrap(), events);
    let peak: u64 = peak.strip_suffix(" kB").unwrap().parse().unwrap();
    println!("{bytes} bytes, {events} events, peak {peak} kB");
    assert!(peak < LIMIT_KB, "an export of {bytes} bytes took {peak} kB");
}
