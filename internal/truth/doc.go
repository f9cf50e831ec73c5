// Package truth holds dail's figures to engines whose every token is known.
//
// [Grid] is a set of engines: fast and slow cards, queueing, preempting,
// restarting, with speculative decoding, with clients that leave, behind the
// metric names of older servers, with two engine labels. [Check] runs one in
// virtual time (see internal/virtual), computes a level's figures from its
// /metrics pages as a run does, and compares each with what the log of its
// requests says: means and counts must agree within [MaxError], a quantile's
// truth must lie within its bounds, these must be no wider than the server's own
// bucket, and a verdict that is called certain must be right.
package truth
