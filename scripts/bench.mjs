// Runs the load programs in turn against a sink server of its own and prints one JSON object a line.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [target, rounds] = [process.argv[2], Number(process.argv[3])];
const ours = `${target}/release/examples/load`;
const theirs = `${target}/peer/release/peer-bench`;

const sink = spawn(`${target}/peer/release/sink`, { stdio: ["pipe", "pipe", "inherit"] });
const [url] = await once(createInterface(sink.stdout), "line");

const run = (program, n, more = {}) =>
  JSON.parse(execFileSync(program, { env: { ...process.env, N: n, URL: url, DEADLINE_S: 120, ...more }, timeout: 180_000 }));
// A folder of its own for each run, so that none delivers what another has left.
const runOnDisk = (n, more) => {
  const dir = mkdtempSync(join(tmpdir(), "amplitude-bench-"));
  try {
    return run(ours, n, { STORE: "disk", DIR: dir, ...more });
  } finally {
    rmSync(dir, { recursive: true });
  }
};
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const print = (name, value, unit, more = {}) =>
  console.log(JSON.stringify({ name, value: Number(value.toFixed(3)), unit, rounds, ...more }));

try {
  run(ours, 10_000);
  const pairs = Array.from({ length: rounds }, () => [run(ours, 100_000), run(theirs, 100_000)]);
  for (const [result] of pairs) {
    if (result.delivered !== result.n) throw new Error(`not all were delivered: ${JSON.stringify(result)}`);
  }
  for (const [field, name] of [
    ["cpu_us_per_event", "cpu per delivered event"],
    ["enqueue_us_per_event", "track call, building included"],
  ]) {
    const [mine, peer] = [0, 1].map((side) => median(pairs.map((pair) => pair[side][field])));
    print(name, mine, "us", { n: 100_000 });
    print(`${name}, amplitude-rs`, peer, "us", { n: 100_000 });
    print(`${name}, ratio to amplitude-rs`, median(pairs.map(([a, b]) => a[field] / b[field])), "ratio");
  }
  const disk = Array.from({ length: rounds }, () => [runOnDisk(100_000), run(theirs, 100_000)]);
  for (const [result] of disk) {
    if (result.delivered !== result.n) throw new Error(`not all were delivered: ${JSON.stringify(result)}`);
  }
  for (const [field, name] of [
    ["cpu_us_per_event", "cpu per delivered event, disk store"],
    ["enqueue_us_per_event", "track call, building included, disk store"],
  ]) {
    print(name, median(disk.map((pair) => pair[0][field])), "us", { n: 100_000 });
    print(`${name}, ratio to amplitude-rs in memory`, median(disk.map(([a, b]) => a[field] / b[field])), "ratio");
  }
  const startUp = mkdtempSync(join(tmpdir(), "amplitude-bench-"));
  try {
    // Nobody answers there; what is stored stays.
    const nobody = { STORE: "disk", DIR: startUp, URL: "http://127.0.0.1:9/", DEADLINE_S: 0 };
    run(ours, 1_000_000, nobody);
    const starts = Array.from({ length: rounds }, () => {
      const from = performance.now();
      const { pending, rss_mb } = run(ours, 0, nobody);
      if (pending !== 1_000_000) throw new Error(`${pending} are pending`);
      return [(performance.now() - from) / 1000, rss_mb];
    });
    print("start and end with 1,000,000 stored events", median(starts.map(([seconds]) => seconds)), "s");
    print("memory with 1,000,000 stored events", median(starts.map(([, rss]) => rss)), "MB");
  } finally {
    rmSync(startUp, { recursive: true });
  }
  const growth = Array.from({ length: rounds }, () => [run(ours, 10_000), run(ours, 1_000_000)]);
  const [few, many] = [0, 1].map((side) => median(growth.map((pair) => pair[side].cpu_us_per_event)));
  print("cpu per delivered event, 10,000 queued", few, "us");
  print("cpu per delivered event, 1,000,000 queued", many, "us");
  print("memory, 1,000,000 queued at most", median(growth.map((pair) => pair[1].rss_mb)), "MB");
} finally {
  sink.stdin.end();
}
