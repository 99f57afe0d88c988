//! The mesh beside foca 1.0 (SWIM) in the same simulated network, and what a packet costs: `cargo bench -p
//! swarmlet-core --bench mesh`. `SWARMLET_BENCH=memory,storm,events,pauses,crash,idle,cost` chooses; sizes are arguments.
//! With `SWARMLET_FIGURES` set, lines that begin with `figure` and a tab tell the same to a program.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that fails says so by panicking"
)]

mod codec;
mod cost;
mod peer;

#[path = "../../tests/mesh_support/mod.rs"]
mod mesh_support;

use mesh_support::net::Net;
use mesh_support::{seed, Sim, MS, SECOND};
use peer::FocaSim;
use swarmlet_core::mesh::Config;

/// The seeds of repeated runs.
const RUNS: u64 = 3;

fn ours(seed: u64, nodes: usize, net: Net) -> Sim {
    let mut sim = Sim::new(seed, Config::default(), net);
    for _ in 0..nodes {
        sim.add(0);
    }
    sim.run(1);
    sim
}

fn seconds(us: Option<u64>) -> String {
    us.map_or("never".to_owned(), |us| format!("{:.2} s", us as f64 / 1e6))
}

/// Tells a program what was measured, here and of the peer; an empty text for what never happened.
fn figure(what: &str, unit: &str, mine: impl std::fmt::Display, theirs: impl std::fmt::Display) {
    if std::env::var_os("SWARMLET_FIGURES").is_some() {
        println!("figure\t{what}\t{unit}\t{mine}\t{theirs}");
    }
}

/// Seconds for [`figure`].
fn plain(us: Option<u64>) -> String {
    us.map_or(String::new(), |us| (us as f64 / 1e6).to_string())
}

fn net() -> Net {
    Net {
        latency_us: (200, 2000),
        ..Net::lossy(10)
    }
}

/// Time until all who were started together see all.
fn storm(first: u64, sizes: &[usize]) {
    println!("\njoint start: all see all (packets, megabytes a node)");
    for nodes in sizes.iter().copied() {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for seed in first..first + RUNS {
            let mut sim = ours(seed, nodes, net());
            sim.keep_told = false;
            let took = sim.until(20 * MS, 600 * SECOND, |sim| sim.unseen() == 0);
            let (bytes, packets) = sim.nodes.iter().fold((0, 0), |sum, node| {
                (sum.0 + node.sent.0, sum.1 + node.sent.1)
            });
            let each = |total: u64| total as f64 / nodes as f64;
            mine.push(took);
            print!(
                "  {nodes} nodes, seed {seed}: swarmlet {} ({:.0}, {:.2}, and {:.2} by the link)",
                seconds(took),
                each(packets),
                each(bytes) / 1e6,
                each(sim.carried) / 1e6
            );
            let mut peer = FocaSim::started(seed, nodes, net());
            let limit = if nodes > 200 { 120 } else { 600 };
            let took = peer.until(20 * MS, limit * SECOND, |sim| sim.unseen() == 0);
            let (bytes, packets) = peer.sent;
            theirs.push(took);
            println!(
                "; foca {} ({:.0}, {:.2}), {} pairs unseen",
                seconds(took),
                each(packets),
                each(bytes) / 1e6,
                peer.unseen()
            );
        }
        let worst = |mut times: Vec<Option<u64>>| {
            times.sort_unstable_by_key(|time| time.unwrap_or(u64::MAX));
            plain(times.last().copied().flatten())
        };
        let what = format!("{nodes} started together: all see all, worst of {RUNS}");
        figure(&what, "s", worst(mine), worst(theirs));
    }
}

/// Time until 99 % and all heard an event; after 10 s it counts as missed.
fn events(first: u64, sizes: &[usize]) {
    println!("\nan event is heard by 99 % and by all, 8 events, worst");
    for nodes in sizes.iter().copied() {
        for loss in [0, 50, 200] {
            let lossy = || Net { loss, ..net() };
            let mut sim = ours(first, nodes, net());
            sim.keep_told = false;
            sim.until(100 * MS, 60 * SECOND, |sim| sim.unseen() == 0)
                .unwrap();
            let settled = sim.now + 10 * SECOND;
            sim.run(settled);
            sim.net = lossy();
            let mine = worst((0..8u64).map(|number| {
                let (from, payload) = (7 * number as usize % nodes, number.to_be_bytes());
                sim.broadcast(from, &payload);
                let most = sim.until(10 * MS, 60 * SECOND, |s| {
                    s.deaf(&payload, from) * 100 <= nodes
                });
                let all = sim.until(10 * MS, 10 * SECOND, |s| s.deaf(&payload, from) == 0);
                (most, all.zip(most).map(|(all, most)| all + most))
            }));
            let mut peer = FocaSim::acquainted(first, nodes, lossy());
            let settled = peer.now + 10 * SECOND;
            peer.run(settled);
            let theirs = worst((0..8u64).map(|number| {
                let from = 7 * number as usize % nodes;
                peer.broadcast(from, number);
                let most = peer.until(10 * MS, 10 * SECOND, |s| s.deaf(number) * 100 <= nodes);
                let all = peer.until(10 * MS, 10 * SECOND, |s| s.deaf(number) == 0);
                (most, all.zip(most).map(|(all, most)| all + most))
            }));
            println!(
                "  {nodes} nodes, loss {} %: swarmlet {} {} (missed by somebody: {}); foca {} {} ({})",
                loss / 10,
                seconds(mine.0),
                seconds(mine.1),
                mine.2,
                seconds(theirs.0),
                seconds(theirs.1),
                theirs.2
            );
            let about = format!("{nodes} nodes, {} % loss", loss / 10);
            let what = format!("an event to 99 %: {about}, worst of 8");
            figure(&what, "s", plain(mine.0), plain(theirs.0));
            let what = format!("events of 8 that somebody missed: {about}");
            figure(&what, "events", mine.2, theirs.2);
        }
    }
}

/// The worst times, and how many events somebody never heard.
fn worst(
    runs: impl Iterator<Item = (Option<u64>, Option<u64>)>,
) -> (Option<u64>, Option<u64>, usize) {
    let all: Vec<_> = runs.collect();
    let missed = all.iter().filter(|run| run.1.is_none()).count();
    let most = all.iter().filter_map(|run| run.0).max();
    (most, all.iter().filter_map(|run| run.1).max(), missed)
}

/// Alarms while the upper half of 60 pauses: about the lower half they are false; about somebody who paused they tell
/// the truth while it lasts.
fn pauses(first: u64) {
    println!("\nalarms while members 30 to 59 of 60 pause, 200 s, 5 runs: about who never paused, about who did");
    let (mut false_mine, mut false_theirs) = (0, 0);
    for (least, most, at_once, loss) in [
        (500 * MS, 8500 * MS, 4, 10),
        (5 * SECOND, 30 * SECOND, 8, 10),
        (500 * MS, 8500 * MS, 4, 100),
        (5 * SECOND, 30 * SECOND, 8, 100),
    ] {
        let (mut mine, mut theirs) = ([0; 2], [0; 2]);
        for seed in first..first + 5 {
            let lossy = || Net { loss, ..net() };
            let mut sim = ours(seed, 60, lossy());
            let mut peer = FocaSim::acquainted(seed, 60, lossy());
            for round in 0..40 {
                for _ in 0..at_once {
                    let node = 30 + sim.random.below(30) as usize;
                    let long = least + sim.random.below(most - least);
                    sim.pause(node, sim.now + long);
                    peer.pause(node, peer.now + long);
                }
                sim.run((20 + round * 5) * SECOND);
                peer.run((20 + round * 5) * SECOND);
            }
            let down = sim.told.iter().filter(|told| told.what == "unreachable");
            down.for_each(|told| mine[usize::from(told.about >= 30)] += 1);
            let down = peer.down.iter();
            down.for_each(|about| theirs[usize::from(*about >= 30)] += 1);
        }
        println!(
            "  {at_once} more every 5 s, each for {} to {}, loss {} %: swarmlet {} and {}; foca {} and {}",
            seconds(Some(least)),
            seconds(Some(most)),
            loss / 10,
            mine[0],
            mine[1],
            theirs[0],
            theirs[1]
        );
        false_mine += mine[0];
        false_theirs += theirs[0];
    }
    let what = "alarms about healthy members while others pause";
    figure(what, "alarms", false_mine, false_theirs);
}

/// Time until a crash is known to all.
fn crash(first: u64, sizes: &[usize]) {
    println!("\na crash is known to all, 10 runs: median, worst");
    for nodes in sizes.iter().copied() {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for seed in first..first + 10 {
            let mut sim = ours(seed, nodes, net());
            sim.keep_told = false;
            sim.until(100 * MS, 60 * SECOND, |sim| sim.unseen() == 0)
                .unwrap();
            let settled = sim.now + 10 * SECOND;
            sim.run(settled);
            sim.crash(3);
            mine.push(sim.until(20 * MS, 120 * SECOND, |sim| sim.unaware(3) == 0));
            let mut peer = FocaSim::acquainted(seed, nodes, net());
            let settled = peer.now + 10 * SECOND;
            peer.run(settled);
            peer.crash(3);
            theirs.push(peer.until(20 * MS, 120 * SECOND, |sim| sim.unaware(3) == 0));
        }
        mine.sort_unstable_by_key(|time| time.unwrap_or(u64::MAX));
        theirs.sort_unstable_by_key(|time| time.unwrap_or(u64::MAX));
        let show = |times: &[Option<u64>]| format!("{} {}", seconds(times[5]), seconds(times[9]));
        let what = format!("a crash known to all of {nodes}, median of 10");
        figure(&what, "s", plain(mine[5]), plain(theirs[5]));
        println!(
            "  {nodes} nodes: swarmlet {}; foca {}",
            show(&mine),
            show(&theirs)
        );
    }
}

/// What a quiet mesh sends.
fn idle(first: u64, sizes: &[usize]) {
    println!("\nidle, a node a day, IPv4 and all headers counted");
    for nodes in sizes.iter().copied() {
        let mut sim = ours(first, nodes, net());
        sim.keep_told = false;
        let settled = sim.now + 60 * SECOND;
        sim.run(settled);
        let count = |sim: &Sim| {
            let nodes = sim.nodes.iter().map(|node| node.sent);
            nodes.fold((0, 0), |sum, sent| (sum.0 + sent.0, sum.1 + sent.1))
        };
        let (before, carried) = (count(&sim), sim.carried);
        let later = sim.now + 120 * SECOND;
        sim.run(later);
        let (after, link) = (count(&sim), sim.carried - carried);
        let day = |total: u64| total as f64 / nodes as f64 * 720.0 / 1e6;
        println!(
            "  {nodes} nodes: sends {:.1} MB in {:.0} thousand packets; by the link {:.2} MB",
            day(after.0 - before.0),
            day(after.1 - before.1) * 1e3,
            day(link)
        );
    }
}

fn main() {
    let chosen = std::env::var("SWARMLET_BENCH");
    let chosen = chosen
        .as_deref()
        .unwrap_or("memory,storm,events,pauses,crash,idle,cost");
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![50, 100, 1000]
    } else {
        sizes
    };
    let first = seed(1);
    for name in chosen.split(',') {
        match name {
            "storm" => storm(first, &sizes),
            "events" => events(first, &sizes),
            "pauses" => pauses(first),
            "crash" => crash(first, &sizes[..sizes.len().min(2)]),
            "idle" => idle(first, &sizes),
            "cost" => cost::run(),
            "memory" => cost::memory(),
            _ => panic!("there is no benchmark {name}"),
        }
    }
}
