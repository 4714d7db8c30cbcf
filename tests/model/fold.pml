/*
 * Order, outcome and state of core/FORMAT.md, sections 8 to 12: peers sign commits on what they have seen and take those of
 * others in any order that puts parents first. All histories of COMMITS commits by three peers are looked at, with all orders of
 * their stamps, and all ways to hand them on. Below every assertion stands the name that section 15 gives it.
 *
 * Without TIES no two stamps are equal. Then an author is but a name, and the peers sign their first commits one after the other. With
 * TIES any are, and the author decides; the line that comes of it is one that other stamps give as well, so fewer values will do.
 *
 * What is left out: a cell is a row that is written whole, or one column of it, and a value is a small number; 0 is absent. Tables,
 * modes and tags have the last writer's value by the same order. Who may write, the clocks and the disk are in admission.pml.
 *
 * Each #ifdef breaks one rule; tests/model/check expects the invariant that it names to fail. It runs:
 *
 * check:
 * check: -DTIES -DVALUES=2
 * check: -DTWINS -DKINDS=2 -DVALUES=2
 * check: -DCOMMITS=4 -DKINDS=2 -DVALUES=2
 */
#ifndef COMMITS
#define COMMITS 3
#endif
#ifndef KINDS
#define KINDS 5 /* of commits: see sign() */
#endif
#ifndef VALUES
#define VALUES 3
#endif
#ifdef TWINS
#define TIES
#endif
#define PEERS  3
#define CELLS  2
#define NOBODY 255
#define SLOTS  (PEERS * COMMITS) /* a place for every commit that anybody may come to sign */

#define BIT(i)	    (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)

typedef Commit {
	byte author, stamp;
	short past;  /* the commits below it */
	bool strict;
	byte puts;   /* the cells that it writes */
	byte checks; /* the cells that it only read */
	byte old[CELLS], new[CELLS]
};

typedef Peer {
	short has; /* the set of its commits; all else follows from it */
	byte count;
	byte line[COMMITS];
	short applied;
	byte value[CELLS];
	byte writer[CELLS];
	short losers[CELLS]; /* the commits with a record, per cell */
	byte n_signed
};

/*
 * What a peer takes touches nobody else, and can as well be taken later: right before the peer signs the next time, or when
 * nobody signs any more, one peer after the other. So these ways to hand commits on stand for all. Whoever has the same set as
 * another before that has it, in the same order, in the history that ends there.
 */
byte busy = NOBODY; /* who has taken something in order to sign */
bool is_over;	    /* nobody signs any more */

byte n_commits;
Commit commit[SLOTS];
Peer peer[PEERS];

/* What steps use and leave behind is not part of a state. */
hidden byte at, cell, fresh, i, j, k, last, rank;
hidden byte clean, found;
hidden byte newest[CELLS];
hidden byte same_set_same_order, same_set_same_outcomes, same_set_same_head, order_extends_causality,
	late_merge_undoes_nothing, strict_met_what_it_read, commits_are_whole, lost_is_recorded;

/* ---- Order ---- */

#ifdef TIES_BY_ARRIVAL /* -DTIES -DVALUES=2 same_set_same_order */
#define BEFORE(a, b) (commit[a].stamp < commit[b].stamp)
#else
#ifdef ORDER_WITHOUT_ID /* -DTWINS -DKINDS=2 same_set_same_order */
#define BEFORE_BY_ID(a, b) false
#else
#define BEFORE_BY_ID(a, b) (a < b)
#endif
#define BEFORE(a, b)                                                                                                   \
	(commit[a].stamp < commit[b].stamp ||                                                                          \
	 (commit[a].stamp == commit[b].stamp &&                                                                        \
	  (commit[a].author < commit[b].author || (commit[a].author == commit[b].author && BEFORE_BY_ID(a, b)))))
#endif

inline insert(p, c)
{
	at = peer[p].count;
	do
	:: at > 0 && BEFORE(c, peer[p].line[at - 1]) ->
		peer[p].line[at] = peer[p].line[at - 1];
		at--
	:: else -> break
	od;
	peer[p].line[at] = c;
	peer[p].count++;
	peer[p].has = peer[p].has | BIT(c)
}

/* ---- The fold ---- */

/* Whether what stands is what commit k saw in `cell`. */
#define UNTOUCHED(p) (peer[p].value[cell] == commit[k].old[cell])
#ifdef STRICT_TAKES_ITS_OWN_VALUE /* strict_met_what_it_read */
#define CLEAN(p) (UNTOUCHED(p) || peer[p].value[cell] == commit[k].new[cell])
#else
#define CLEAN(p) (UNTOUCHED(p) || (!commit[k].strict && peer[p].value[cell] == commit[k].new[cell]))
#endif

inline decide(p)
{
	clean = true;
	for (cell : 0 .. CELLS - 1) {
		if
#ifdef CHECKS_ARE_SKIPPED /* strict_met_what_it_read */
		:: HAS(commit[k].puts, cell) && !CLEAN(p) -> clean = false
#else
		:: HAS(commit[k].puts | commit[k].checks, cell) && !CLEAN(p) -> clean = false
#endif
		:: else
		fi
	}
	if
#ifdef UNCLEAN_MERGE_IS_DROPPED /* late_merge_undoes_nothing */
	:: !clean -> peer[p].applied = peer[p].applied & ~BIT(k)
#else
	:: commit[k].strict && !clean -> peer[p].applied = peer[p].applied & ~BIT(k)
#endif
	:: else -> peer[p].applied = peer[p].applied | BIT(k)
	fi
}

/* Commit k writes `cell`: who wrote a value that k has not seen loses it, and losers that k has seen go. */
inline write(p)
{
	if
	:: !CLEAN(p) && peer[p].writer[cell] != NOBODY ->
#ifndef UNCLEAN_LEAVES_NO_RECORD /* lost_is_recorded */
		peer[p].losers[cell] = peer[p].losers[cell] | BIT(peer[p].writer[cell])
#else
		skip
#endif
	:: else
	fi;
	for (last : 0 .. peer[p].count - 1) {
		j = peer[p].line[last];
		if
#ifdef RECORDS_STAY_WHEN_LATE /* same_set_same_head */
		:: i > at -> skip
#endif
		:: HAS(peer[p].losers[cell], j) && (commit[j].new[cell] == commit[k].old[cell] ||
						    commit[j].new[cell] == commit[k].new[cell]) ->
			peer[p].losers[cell] = peer[p].losers[cell] & ~BIT(j)
		:: else
		fi
	}
	peer[p].value[cell] = commit[k].new[cell];
	peer[p].writer[cell] = k
}

inline strict_is_serial(p)
{
	for (cell : 0 .. CELLS - 1) {
		strict_met_what_it_read = strict_met_what_it_read &&
			(!commit[k].strict || !HAS(commit[k].puts | commit[k].checks, cell) || UNTOUCHED(p))
	}
}

/* Outcomes before position `at` stand; a peer that takes a late commit decides the others again. */
inline fold(p)
{
	for (cell : 0 .. CELLS - 1) {
		peer[p].value[cell] = 0;
		peer[p].writer[cell] = NOBODY;
		peer[p].losers[cell] = 0
	}
	strict_met_what_it_read = true;
	for (i : 0 .. peer[p].count - 1) {
#ifdef LATE_GOES_ON_TOP /* late_merge_undoes_nothing */
		k = peer[p].line[(i < at -> i : (i == peer[p].count - 1 -> at : i + 1))];
#else
		k = peer[p].line[i];
#endif
		if
#ifdef DECIDED_ONCE /* strict_met_what_it_read */
		:: i == at -> decide(p)
#else
#ifdef LATE_STRICT_IS_DROPPED /* same_set_same_outcomes */
		:: i >= at && (i > at || i == peer[p].count - 1 || !commit[k].strict) -> decide(p)
#else
		:: i >= at -> decide(p)
#endif
#endif
		:: else
		fi;
		if
		:: HAS(peer[p].applied, k) -> strict_is_serial(p)
		:: else
		fi;
		for (cell : 0 .. CELLS - 1) {
			if
			:: HAS(commit[k].puts, cell) && HAS(peer[p].applied, k) -> write(p)
#ifdef DROPPED_BY_CELL /* commits_are_whole */
			:: HAS(commit[k].puts, cell) && !HAS(peer[p].applied, k) && UNTOUCHED(p) -> write(p)
#endif
#ifndef DROPPED_IS_FORGOTTEN /* lost_is_recorded */
			:: HAS(commit[k].puts, cell) && !HAS(peer[p].applied, k) ->
				peer[p].losers[cell] = peer[p].losers[cell] | BIT(k)
#endif
			:: else
			fi
		}
	}
}

/* ---- What holds after every step ---- */

inline check_order(p)
{
	order_extends_causality = true;
	for (i : 1 .. peer[p].count - 1) {
		for (j : 0 .. i - 1) {
			order_extends_causality = order_extends_causality &&
				!HAS(commit[peer[p].line[j]].past, peer[p].line[i])
		}
	}
	assert(order_extends_causality)
}

/* Late commit c left newer merge work alone: only a strict commit newer than that has taken its place. */
inline check_late(p, c)
{
	late_merge_undoes_nothing = true;
	for (cell : 0 .. CELLS - 1) {
		last = newest[cell];
		if
		:: !commit[c].strict && last != NOBODY && !commit[last].strict && BEFORE(c, last) ->
			late_merge_undoes_nothing = late_merge_undoes_nothing &&
				(peer[p].writer[cell] == last || BEFORE(last, peer[p].writer[cell])) &&
				peer[p].value[cell] == commit[peer[p].writer[cell]].new[cell]
		:: else
		fi
	}
	assert(late_merge_undoes_nothing)
}

inline check_same(p)
{
	for (k : 0 .. PEERS - 1) {
		if
		:: k != p && peer[k].has == peer[p].has ->
			same_set_same_order = peer[k].count == peer[p].count;
			for (i : 0 .. COMMITS - 1) {
				same_set_same_order = same_set_same_order && peer[k].line[i] == peer[p].line[i]
			}
			same_set_same_outcomes = peer[k].applied == peer[p].applied;
			same_set_same_head = true;
			for (cell : 0 .. CELLS - 1) {
				same_set_same_head = same_set_same_head &&
					peer[k].value[cell] == peer[p].value[cell] &&
					peer[k].losers[cell] == peer[p].losers[cell]
			}
			assert(same_set_same_order);
			assert(same_set_same_outcomes);
			assert(same_set_same_head)
		:: else
		fi
	}
}

/* A value that a commit wrote is the current one, or a later commit replaced it knowingly, or there is a record of it. */
inline check_records(p)
{
	commits_are_whole = true;
	lost_is_recorded = true;
	for (cell : 0 .. CELLS - 1) {
		if
		:: peer[p].writer[cell] != NOBODY ->
			commits_are_whole = commits_are_whole && HAS(peer[p].applied, peer[p].writer[cell])
		:: else
		fi;
		for (i : 0 .. peer[p].count - 1) {
			k = peer[p].line[i];
			found = !HAS(commit[k].puts, cell) || peer[p].value[cell] == commit[k].new[cell];
			for (at : 0 .. peer[p].count - 1) {
				j = peer[p].line[at];
				found = found ||
					(HAS(peer[p].losers[cell], j) && commit[j].new[cell] == commit[k].new[cell]) ||
					(at > i && HAS(peer[p].applied, j) && HAS(commit[j].puts, cell) &&
					 commit[j].old[cell] == commit[k].new[cell])
			}
			lost_is_recorded = lost_is_recorded && found
		}
	}
	assert(commits_are_whole);
	assert(lost_is_recorded)
}

/* ---- Steps ---- */

inline take(p, c)
{
	for (cell : 0 .. CELLS - 1) {
		newest[cell] = peer[p].writer[cell]
	}
	insert(p, c);
	fold(p);
	assert(strict_met_what_it_read);
	check_order(p);
	check_late(p, c);
	check_same(p);
	check_records(p)
}

/* Only how stamps compare matters: they become 2, 4, 6, ... so that there is room for the next. */
inline spread_stamps()
{
	rank = 0;
	for (at : 1 .. 2 * COMMITS) {
		found = false;
		for (i : 0 .. SLOTS - 1) {
			if
			:: commit[i].stamp == at -> found = true
			:: else
			fi
		}
		rank = rank + found;
		for (i : 0 .. SLOTS - 1) {
			/* Out of the way of those not yet seen, until all are. */
			if
			:: found && commit[i].stamp == at -> commit[i].stamp = 2 * (COMMITS + rank)
			:: else
			fi
		}
	}
	for (i : 0 .. SLOTS - 1) {
		if
		:: commit[i].stamp -> commit[i].stamp = commit[i].stamp - 2 * COMMITS
		:: else
		fi
	}
}

#ifdef TIES
#define STAMP(clock) clock
#else /* odd ones are between those that there are */
#define STAMP(clock) (2 * clock + 1)
#endif

inline sign(p, clock, kind, step)
{
	fresh = p * COMMITS + peer[p].n_signed;
	peer[p].n_signed++;
	n_commits++;
#ifdef TWINS /* a store was copied, and its key with it */
	commit[fresh].author = (p == PEERS - 1 -> p - 1 : p);
#else
	commit[fresh].author = p;
#endif
	commit[fresh].stamp = STAMP(clock);
	commit[fresh].past = peer[p].has;
	if
	:: kind == 0 -> commit[fresh].puts = BIT(0)
	:: kind == 1 -> commit[fresh].puts = BIT(0); commit[fresh].strict = true
	:: kind == 2 -> commit[fresh].puts = BIT(1)
	:: kind == 3 -> commit[fresh].puts = BIT(0) | BIT(1); commit[fresh].strict = true
	:: kind == 4 -> commit[fresh].puts = BIT(0); commit[fresh].checks = BIT(1); commit[fresh].strict = true
	fi;
	for (cell : 0 .. CELLS - 1) {
		if
		:: HAS(commit[fresh].puts | commit[fresh].checks, cell) ->
			commit[fresh].old[cell] = peer[p].value[cell];
			commit[fresh].new[cell] = (peer[p].value[cell] + step) % VALUES
		:: else
		fi
	}
	spread_stamps();
	take(p, fresh)
}

#ifdef STAMPED_BY_THE_CLOCK /* order_extends_causality */
#define LATEST(p) 0
#else
/* The greatest stamp that peer p has: the last in its line. */
#define LATEST(p) (peer[p].count == 0 -> 0 : commit[peer[p].line[peer[p].count - 1]].stamp)
#endif

#ifdef TIES
#define FIRST_STAMP(p) (LATEST(p) + 1)
#define LAST_STAMP     (2 * n_commits + 1)
#define IS_NEXT(p)     true
#else
#define FIRST_STAMP(p) (LATEST(p) / 2)
#define LAST_STAMP     n_commits
#define IS_NEXT(p)     (p == 0 || peer[p - 1].n_signed > 0)
#endif

#define MAY_SIGN(p) (!is_over && n_commits < COMMITS && (busy == NOBODY || busy == p) && IS_NEXT(p))
#define HAS_ALL(p)  (peer[p].count == n_commits)
#define MAY_TAKE(p)                                                                                                    \
	(MAY_SIGN(p) ||                                                                                                \
	 ((is_over || n_commits == COMMITS) && (p == 0 || HAS_ALL(0)) && (p <= 1 || HAS_ALL(1))))
#define LACKS(p, c) (commit[c].stamp && !HAS(peer[p].has, c) && (commit[c].past & ~peer[p].has) == 0)
#define OFFER(c) :: MAY_TAKE(p) && LACKS(p, c) -> q = c;

proctype run_peer(byte p)
{
	byte clock, kind, step;
	byte q;

end:	do
	:: atomic {
			MAY_SIGN(p);
			select(clock : FIRST_STAMP(p) .. LAST_STAMP);
			select(kind : 0 .. KINDS - 1);
			/* Values are but names: the first commit's is 1. */
			select(step : 1 .. (n_commits == 0 -> 1 : VALUES - 1));
			d_step {
				sign(p, clock, kind, step);
				busy = NOBODY;
				clock = 0;
				kind = 0;
				step = 0
			}
		}
	:: atomic {
			if
			OFFER(0) OFFER(1) OFFER(2) OFFER(3) OFFER(4) OFFER(5) OFFER(6) OFFER(7) OFFER(8)
#if COMMITS > 3
			OFFER(9) OFFER(10) OFFER(11)
#endif
			fi;
			d_step {
				fresh = q;
				q = 0;
				take(p, fresh);
				busy = (MAY_SIGN(p) -> p : NOBODY)
			}
		}
	od
}

init {
	atomic {
		for (i : 0 .. PEERS - 1) {
			for (cell : 0 .. CELLS - 1) {
				peer[i].writer[cell] = NOBODY
			}
		}
		run run_peer(0);
		run run_peer(1);
		run run_peer(2)
	};
	atomic { busy == NOBODY -> is_over = true }
}
