//! How each digit is written: the strokes of a hand, with its habits drawn at random.
//!
//! Height runs from -0.5 (top) to 0.5, x to the right. Strokes are smooth curves through their points; a point given
//! twice is a corner.

use std::cell::Cell;

use crate::portable;
use crate::rng::Rng;

/// A point, (x, y).
pub(super) type Point = [f32; 2];
/// A curve through points.
pub(super) type Stroke = Vec<Point>;

/// The strokes of `digit`, 0 to 9.
pub(super) fn write(digit: u32, rng: &mut Rng) -> Vec<Stroke> {
    let mut hand =
        Hand { haste: portable::exp(0.35 * rng.normal()).min(1.7), rng: Cell::new(*rng), strokes: Vec::new() };
    match digit {
        0 => hand.zero(),
        1 => hand.one(),
        2 => hand.two(),
        3 => hand.three(),
        4 => hand.four(),
        5 => hand.five(),
        6 => hand.six(),
        7 => hand.seven(),
        8 => hand.eight(),
        _ => hand.nine(),
    }
    *rng = hand.rng.get();
    hand.strokes
}

struct Hand {
    /// In a cell, so that random numbers can be drawn in the midst of a list of points.
    rng: Cell<Rng>,
    strokes: Vec<Stroke>,
    /// How far from the plan this hand strays; 1 is usual.
    haste: f32,
}

/// Points of an ellipse around (x, y) from `from` over `sweep` degrees; 0 is right, 90 is down.
fn arc(x: f32, y: f32, rx: f32, ry: f32, from: f32, sweep: f32) -> Stroke {
    let n = (sweep.abs() / 45.0).ceil().max(2.0) as usize;
    let at = |i: usize| (from + sweep * i as f32 / n as f32).to_radians();
    (0..=n).map(|i| [x + rx * portable::cos(at(i)), y + ry * portable::sin(at(i))]).collect()
}

impl Hand {
    fn draw<T>(&self, one: impl FnOnce(&mut Rng) -> T) -> T {
        let mut rng = self.rng.get();
        let value = one(&mut rng);
        self.rng.set(rng);
        value
    }

    fn uniform(&self) -> f32 {
        self.draw(Rng::uniform)
    }

    fn range(&self, low: f32, high: f32) -> f32 {
        self.draw(|rng| rng.range(low, high))
    }

    fn chance(&self, p: f32) -> bool {
        self.uniform() < p
    }

    /// Adds a stroke whose points stray a little; corners stay corners.
    fn stroke(&mut self, points: impl Into<Stroke>, stray: f32) {
        let points: Stroke = points.into();
        let stray = stray * self.haste;
        let mut moved: Stroke = Vec::with_capacity(points.len());
        for (i, p) in points.iter().enumerate() {
            let point = match i.checked_sub(1) {
                Some(before) if points[before] == *p => moved[before],
                _ => [p[0] + stray * self.draw(Rng::normal), p[1] + stray * self.draw(Rng::normal)],
            };
            moved.push(point);
        }
        self.strokes.push(moved);
    }

    fn zero(&mut self) {
        let width = self.range(0.2, 0.5);
        let start = self.range(-150.0, -20.0);
        let turn = if self.chance(0.85) { -1.0 } else { 1.0 };
        let mut ring = arc(0.0, 0.0, width, 0.5, start, turn * self.range(330.0, 400.0));
        // The hand rarely comes back to exactly where it began, and may begin or end off the ring.
        let away = if self.chance(0.25) { 2.5 } else { 1.0 };
        let (dx, dy) = (away * self.range(-0.08, 0.08), away * self.range(-0.06, 0.08));
        let from_end = self.chance(0.6);
        let last = ring.len() - 1;
        for (i, p) in ring.iter_mut().enumerate() {
            let t = if from_end { i } else { last - i } as f32 / last as f32;
            *p = [p[0] + dx * t.powi(4), p[1] + dy * t.powi(4)];
        }
        self.stroke(ring, 0.014);
    }

    fn one(&mut self) {
        let bow = self.range(-0.05, 0.05);
        let lean = self.range(-0.03, 0.03);
        self.stroke([[lean, -0.5], [bow, 0.0], [-lean, 0.5]], 0.012);
        let (flag, base) = match self.uniform() {
            u if u < 0.06 => (true, true),
            u if u < 0.11 => (true, false),
            u if u < 0.13 => (false, true),
            _ => (false, false),
        };
        if flag {
            let (dx, dy) = (self.range(0.1, 0.26), self.range(0.04, 0.22));
            self.stroke([[lean, -0.5], [lean - dx * 0.5, -0.5 + dy * 0.6], [lean - dx, -0.5 + dy]], 0.012);
        }
        if base {
            let (left, right) = (self.range(0.12, 0.3), self.range(0.12, 0.3));
            self.stroke([[-lean - left, 0.5], [-lean, 0.49], [-lean + right, 0.5]], 0.015);
        }
    }

    fn two(&mut self) {
        let w = self.range(0.2, 0.38);
        let top = self.range(-0.38, -0.16);
        let foot = self.range(0.32, 0.46);
        let mut path: Stroke = match self.uniform() {
            // Nearly a Z.
            u if u < 0.12 => vec![[-w, -0.44], [0.0, -0.48], [w * 0.8, -0.47], [w * 0.75, -0.3]],
            // No hook at the left.
            u if u < 0.3 => {
                vec![[-w * self.range(0.1, 0.8), -0.44], [0.1, -0.5], [w * 0.8, -0.4], [w * 0.85, top + 0.05]]
            }
            _ => {
                let hook = self.range(-0.1, 0.12);
                vec![[-w * 0.85, top + hook], [-w * 0.6, -0.42], [0.0, -0.5], [w * 0.75, -0.42], [w * 0.85, top + 0.05]]
            }
        };
        let waist = self.range(-0.04, 0.16);
        path.push([waist + 0.06, 0.02]);
        let tail = self.range(-0.2, 0.1);
        let reach = self.range(0.08, 0.55);
        match self.uniform() {
            // A loop in the corner, small to large.
            u if u < 0.45 => {
                let size = self.range(0.05, 0.36);
                let wide = 1.0 + size * self.range(0.0, 1.0);
                path.extend([
                    [-w * 0.45, foot - 0.1],
                    [-w * 0.9, foot + 0.02],
                    [-w * 1.1 * wide, foot - size * 0.55],
                    [-w * 0.75, foot - size],
                    [-0.02, foot - size * 0.4],
                    [reach * 0.6, foot + 0.02],
                    [reach, foot + tail],
                ]);
            }
            // A sharp corner.
            u if u < 0.8 => {
                let corner = [-w * self.range(0.7, 1.2), foot + self.range(-0.02, 0.08)];
                path.extend([[-w * 0.35, foot - 0.2], corner, corner, [0.0, foot + self.range(-0.08, 0.04)]]);
                path.push([reach, foot + tail * 0.7]);
            }
            // A round one.
            _ => {
                path.extend([[-w * 0.6, foot - 0.14], [-w * 0.85, foot - 0.02], [-w * 0.5, foot + 0.03]]);
                path.push([reach, foot + tail * 0.6]);
            }
        }
        self.stroke(path, 0.022);
    }

    fn three(&mut self) {
        let (upper, lower) = (self.range(0.12, 0.34), self.range(0.14, 0.36));
        let waist = self.range(-0.14, 0.08);
        let inner = self.range(-0.16, 0.12);
        let mut path: Stroke = if self.chance(0.18) {
            let corner = [upper, -0.47];
            vec![[-0.26, -0.46 + self.range(-0.02, 0.1)], corner, corner, [(upper + inner) * 0.5, (waist - 0.47) * 0.5]]
        } else {
            let start = self.range(-0.44, -0.2);
            let high = (waist - 0.5) * 0.5;
            vec![[-self.range(0.1, 0.34), start], [-0.06, -0.49], [upper * 0.8, -0.42], [upper * 0.85, high + 0.04]]
        };
        match self.uniform() {
            // A small loop at the waist.
            u if u < 0.2 => {
                let size = self.range(0.04, 0.14);
                path.extend([[inner, waist], [inner - size, waist + size * 0.3], [inner, waist + size * 0.3]]);
            }
            u if u < 0.65 => path.extend([[inner, waist], [inner, waist]]),
            _ => path.extend([[inner + 0.04, waist - 0.02], [inner + 0.05, waist + 0.02]]),
        }
        let mid = (waist + 0.5) * self.range(0.42, 0.56);
        let end = [-self.range(0.1, 0.46), self.range(0.22, 0.5)];
        path.extend([[lower * 0.75, waist + 0.08], [lower, mid], [lower * 0.6, 0.43], [lower * 0.6 - 0.24, 0.5], end]);
        self.stroke(path, 0.02);
    }

    fn four(&mut self) {
        let bar = self.range(-0.06, 0.2);
        let over = if self.chance(0.35) { self.range(-0.02, 0.05) } else { self.range(0.05, 0.36) };
        let stem = self.range(0.02, 0.2);
        let left = -self.range(0.2, 0.42);
        let tilt = self.range(-0.1, 0.06);
        let foot = stem + self.range(-0.1, 0.06);
        match self.uniform() {
            // Open, the stem apart.
            u if u < 0.75 => {
                let high = self.range(-0.5, -0.3);
                let lean = self.range(-0.06, 0.14);
                let top = self.range(-0.5, -0.22);
                let corner = [left, bar];
                let begin = [left + lean, high];
                if self.chance(0.6) {
                    self.stroke(
                        [begin, [left + lean * 0.3, (high + bar) / 2.0], corner, corner, [stem + over, bar + tilt]],
                        0.018,
                    );
                } else {
                    let round = [left + 0.07, bar + 0.03];
                    self.stroke(
                        [begin, [left + lean * 0.2, bar - 0.16], round, [0.0, bar + 0.01], [stem + over, bar + tilt]],
                        0.018,
                    );
                }
                self.stroke([[stem + self.range(-0.02, 0.08), top], [stem, bar], [foot, 0.5]], 0.015);
            }
            // Closed, with a pointed top.
            u if u < 0.85 => {
                let top = [stem, -0.5];
                let corner = [left, bar];
                self.stroke(
                    [top, [(stem + left) / 2.0, (bar - 0.5) / 2.0], corner, corner, [stem + over, bar + tilt * 0.5]],
                    0.018,
                );
                self.stroke(
                    [[stem + self.range(-0.01, 0.04), self.range(-0.5, -0.4)], [stem, bar], [foot, 0.5]],
                    0.015,
                );
            }
            // In one go: down, across, up, down.
            _ => {
                let high = self.range(-0.5, -0.34);
                let tip = [stem + self.range(0.02, 0.12), self.range(-0.5, -0.25)];
                self.stroke(
                    [
                        [left + self.range(0.0, 0.1), high],
                        [left, bar - 0.16],
                        [left + 0.1, bar],
                        [stem - 0.1, bar - 0.04],
                        tip,
                        tip,
                        [stem, bar],
                        [foot, 0.5],
                    ],
                    0.018,
                );
            }
        }
    }

    fn five(&mut self) {
        let left = -self.range(0.1, 0.28);
        let reach = self.range(0.08, 0.56);
        let rise = self.range(-0.08, 0.16);
        let waist = self.range(-0.2, 0.1);
        let belly = self.range(0.1, 0.34);
        let end = [-self.range(0.12, 0.46), self.range(0.24, 0.5)];
        let bowl = [
            [belly * 0.65, waist + 0.02],
            [belly, (waist + 0.5) * 0.45],
            [belly * 0.6, 0.41],
            [belly * 0.5 - 0.16, 0.5],
            end,
        ];
        let high = -0.48 + rise.max(0.0);
        let tip = [reach, high - rise];
        if self.chance(0.25) {
            // All in one bow, like an S.
            let mut path = vec![tip, [left * 0.2, high], [left, (high + waist) * 0.55], [left * 0.5, waist - 0.02]];
            path.extend(bowl);
            self.stroke(path, 0.02);
            return;
        }
        let corner = [left + self.range(-0.02, 0.16), high];
        let knee = [left + self.range(-0.08, 0.04), waist + self.range(-0.02, 0.08)];
        let hump = self.range(0.0, 0.12);
        let mut body = if self.chance(0.6) {
            vec![corner, [(corner[0] + knee[0]) / 2.0, (corner[1] + knee[1]) / 2.0], knee, knee, [0.0, waist - hump]]
        } else {
            vec![corner, [left, (high + waist) / 2.0], [left + 0.06, waist], [0.02, waist - 0.02]]
        };
        body.extend(bowl);
        if self.chance(0.5) {
            body.splice(0..0, [tip, [(tip[0] + corner[0]) / 2.0, high - rise * 0.4], corner]);
            self.stroke(body, 0.02);
        } else {
            // The bar comes last and does not always meet the rest.
            self.stroke(body, 0.02);
            let (dx, dy) = (self.range(-0.04, 0.16), self.range(-0.06, 0.06));
            let middle = [(tip[0] + corner[0]) / 2.0, high - rise * 0.4 + dy];
            self.stroke([[corner[0] + dx, high + dy], middle, [tip[0] + dx, tip[1] + dy]], 0.018);
        }
    }

    fn six(&mut self) {
        let back = self.range(0.16, 0.34);
        let top = self.range(-0.14, 0.3);
        let eye = self.range(-0.16, 0.22);
        let belly = self.range(0.12, 0.4);
        // From a straight back to a bulging one.
        let bulge = self.range(0.0, 1.0);
        let mut path = Vec::new();
        if self.chance(0.15) {
            path.push([top + self.range(0.06, 0.2), -0.5 + self.range(0.0, 0.1)]);
        }
        path.extend([
            [top, -0.5],
            [top * 0.5 - back * (0.4 + 0.45 * bulge), -0.22],
            [-back, 0.1],
            [-back * 0.85, 0.36],
            [self.range(-0.06, 0.04), 0.5],
            [belly * 0.85, 0.39],
            [belly, (eye + 0.5) * 0.55],
            [belly * 0.6, eye + 0.01],
        ]);
        let inner = self.range(-0.5, 0.2);
        path.push([back * inner, eye + self.range(0.0, 0.1)]);
        // The eye ends short of the back, at it, or beyond.
        let close = self.range(0.4, 1.15);
        if self.chance(0.8) {
            path.push([-back * close, eye + (0.5 - eye) * self.range(0.15, 0.6)]);
        }
        self.stroke(path, 0.02);
    }

    fn seven(&mut self) {
        let left = -self.range(0.14, 0.44);
        let right = self.range(0.14, 0.36);
        let slope = self.range(-0.1, 0.08);
        let foot = self.range(-0.26, 0.2);
        let bow = self.range(-0.14, 0.08);
        let top = -0.44;
        let mut path = Vec::new();
        match self.uniform() {
            // A serif that hangs from the left end, sharp or round.
            u if u < 0.32 => {
                let start = [left, top + slope];
                path.extend([[left - self.range(-0.04, 0.06), top + self.range(0.06, 0.36)], start, start]);
            }
            u if u < 0.5 => path.extend([[left - 0.02, top + self.range(0.04, 0.22)], [left + 0.07, top + 0.01]]),
            _ => path.push([left, top + slope]),
        }
        let corner = [right, top - slope * 0.6];
        path.push([(left + right) / 2.0, top + self.range(-0.05, 0.07)]);
        if self.chance(0.6) {
            path.extend([corner, corner]);
        } else {
            let round = self.range(0.04, 0.14);
            path.extend([[right - round, corner[1]], [right, corner[1] + round]]);
        }
        path.extend([[(right + foot) / 2.0 + bow, 0.0], [foot, 0.5]]);
        self.stroke(path, 0.02);
        if self.chance(0.2) {
            let y = self.range(-0.12, 0.16);
            let x = (right + foot) / 2.0 + bow;
            let (l, r) = (self.range(0.1, 0.3), self.range(0.08, 0.3));
            self.stroke([[x - l, y + self.range(-0.06, 0.1)], [x, y], [x + r, y + self.range(-0.08, 0.04)]], 0.015);
        }
    }

    fn eight(&mut self) {
        let (upper, lower) = (self.range(0.13, 0.34), self.range(0.13, 0.34));
        let waist = self.range(-0.12, 0.14);
        let (hi, lo) = ((waist - 0.5) / 2.0, (waist + 0.5) / 2.0);
        if self.chance(0.1) {
            // Two rings.
            let (a, b) = (self.range(-130.0, -40.0), self.range(-130.0, -40.0));
            let (turn_a, turn_b) = (self.range(335.0, 385.0), self.range(335.0, 385.0));
            let apart = self.range(-0.08, 0.08);
            self.stroke(arc(apart, hi, upper, hi + 0.5, a, -turn_a), 0.015);
            self.stroke(arc(0.0, lo, lower, 0.5 - lo, b, -turn_b), 0.015);
            return;
        }
        let cross = self.range(-0.06, 0.06);
        let lean = self.range(-0.02, 0.12);
        // Begins at the upper right, sometimes far out; ends there too, sometimes short of it, sometimes beyond.
        let out = if self.chance(0.25) { self.range(0.05, 0.3) } else { 0.0 };
        let begin = [upper * self.range(0.5, 1.0) + lean + out, hi - self.range(-0.06, 0.16)];
        let mut path = vec![begin];
        path.extend([
            [lean * 0.7, -0.5],
            [-upper * 0.85 + lean * 0.5, hi - 0.08],
            [-upper * 0.75 + lean * 0.3, hi + 0.08],
            [cross, waist],
            [lower * 0.9, lo - 0.02],
            [lower * 0.75, lo + 0.12],
            [-lean * 0.5, 0.5],
            [-lower * 0.9, lo + 0.06],
            [-lower * 0.75, lo - 0.08],
            [cross + 0.02, waist],
        ]);
        let reach = self.range(0.3, 1.0);
        let end = match self.uniform() {
            u if u < 0.6 => [begin[0] + self.range(-0.02, 0.02), begin[1] + self.range(-0.02, 0.04)],
            u if u < 0.8 => [(upper + lean) * reach, waist + (hi - waist) * (0.4 + 0.8 * reach)],
            _ => [upper + lean + self.range(0.0, 0.2), hi - self.range(0.0, 0.22)],
        };
        path.push([(cross + end[0]) * 0.5 + self.range(0.0, 0.06), (waist + end[1]) * 0.5 + 0.02]);
        path.push(end);
        if self.chance(0.12) {
            path.reverse();
        }
        self.stroke(path, 0.02);
    }

    fn nine(&mut self) {
        let (left, right) = (-self.range(0.16, 0.42), self.range(0.12, 0.26));
        let eye = self.range(-0.2, 0.14);
        let (x, rx) = ((left + right) / 2.0, (right - left) / 2.0);
        let mid = (eye - 0.5) / 2.0;
        let ry = (eye + 0.5) / 2.0;
        let start = self.range(-80.0, 5.0);
        // An eye that stays open, closes, or overshoots into the stem.
        let sweep = start + self.range(320.0, 385.0);
        let turns = arc(x, mid, rx, ry, start, -sweep);
        let mut path: Stroke = turns[..turns.len() - 1].to_vec();
        let high = mid - ry * self.range(0.0, 0.95);
        let tip = [right + self.range(-0.04, 0.06), high];
        if self.chance(0.5) {
            path.extend([tip, tip]);
        } else {
            path.push([right + self.range(-0.03, 0.03), mid]);
        }
        let foot = right + self.range(-0.3, 0.1);
        if self.chance(0.65) {
            path.extend([[(right + foot) / 2.0 + self.range(-0.02, 0.06), 0.08], [foot, 0.5]]);
        } else {
            let curl = self.range(0.1, 0.5);
            path.extend([[right + 0.02, 0.08], [right - curl * 0.2, 0.36], [right - curl * 0.6, 0.5]]);
            path.push([right - curl, self.range(0.36, 0.5)]);
        }
        self.stroke(path, 0.018);
    }
}
