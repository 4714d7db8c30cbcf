/*
 * Admission, clocks and durability of core/FORMAT.md, sections 8, 9 and 13. Peer 0 made the database; 1 and 2 are let in by
 * grants, but sign whatever they like at any time. The clock of peer 2 is ahead by more than the others accept. Peers take commits
 * in any order that puts parents first, store them, tell others what they have, and crash. Below every assertion stands the name
 * that section 15 gives it. Order and outcome are in fold.pml.
 *
 * Each #ifdef breaks one rule; tests/model/check expects the invariant that it names to fail. It runs:
 *
 * check:
 */
#define COMMITS 3
#define PEERS	3
#define CRASHES 2
#define AHEAD	2 /* the clock of the last peer */
#define SKEW	1 /* this far ahead of its own clock a peer takes commits */
#define EVENING 1 /* the last time at which somebody signs */
#define NIGHT	(EVENING + AHEAD - SKEW) /* no stamp is too far ahead any more */

#define BIT(i)	    (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)

#define DATA	     0
#define GRANT_ADMIN  1 /* to peer 1 */
#define GRANT_WRITER 2 /* to peer 2 */

typedef Commit {
	byte author, kind;
	byte stamp; /* a time and a counter */
	byte past   /* the commits below it */
};

typedef Peer {
	byte has;    /* in memory, and shown */
	byte stored; /* what a crash leaves */
	byte told;   /* what others, or the user, were told that it has */
	byte refused
};

byte now, n_commits, n_crashes;
byte strays; /* signed by who may not, and sent to everybody */
Commit commit[COMMITS];
Peer peer[PEERS];

/* What steps use and leave behind is not part of a state. */
hidden byte fresh, good, i, j;
hidden byte order_extends_causality, past_is_here, grant_is_in_the_past, nothing_is_from_the_future, acknowledged_is_kept,
	held_back_enters;

#define CLOCK(p)    (now + (p == PEERS - 1 -> AHEAD : 0))
#define TIME(stamp) ((stamp) / COMMITS)

/* ---- Verdicts ---- */

/* Whether commit g lets an author sign a commit of that kind: an admin all, a writer data. */
#ifdef WRITERS_GRANT /* grant_is_in_the_past */
#define ENOUGH(kind) true
#else
#define ENOUGH(kind) (kind == DATA)
#endif
#define LETS_IN(g, author, of_kind)                                                                                    \
	((author == 1 && commit[g].kind == GRANT_ADMIN) ||                                                             \
	 (author == 2 && commit[g].kind == GRANT_WRITER && ENOUGH(of_kind)))

#ifdef GRANT_NEED_NOT_BE_BELOW /* grant_is_in_the_past */
#define JUDGED_BY(p, c) peer[p].has
#else
#define JUDGED_BY(p, c) commit[c].past
#endif
#define GRANTED_BY(p, c, g) (HAS(JUDGED_BY(p, c), g) && LETS_IN(g, commit[c].author, commit[c].kind))
#define COUNTS(p, c)                                                                                                   \
	(commit[c].author == 0 || GRANTED_BY(p, c, 0) || GRANTED_BY(p, c, 1) || GRANTED_BY(p, c, 2))

#ifdef ORPHANS_ARE_TAKEN /* past_is_here */
#define PARENTS_ARE_HERE(p, c) true
#else
#define PARENTS_ARE_HERE(p, c) ((commit[c].past & ~peer[p].has) == 0)
#endif

#ifdef FUTURE_IS_TAKEN /* nothing_is_from_the_future */
#define EARLY(p, c) false
#else
#define EARLY(p, c) (TIME(commit[c].stamp) > CLOCK(p) + SKEW)
#endif

#define OFFERED(p, c)                                                                                                  \
	(c < n_commits && !HAS(peer[p].has | peer[p].refused, c) &&                                                    \
	 HAS(strays | peer[0].told | peer[1].told | peer[2].told, c))

/* ---- What holds after every step ---- */

/* The graph alone says which commits count: parents are older than their children. */
inline find_good()
{
	good = 0;
	for (i : 0 .. n_commits - 1) {
		if
		:: commit[i].author == 0 -> good = good | BIT(i)
		:: else ->
			for (j : 0 .. n_commits - 1) {
				if
				:: HAS(commit[i].past & good, j) &&
				   ((commit[i].author == 1 && commit[j].kind == GRANT_ADMIN) ||
				    (commit[i].author == 2 && commit[j].kind == GRANT_WRITER && commit[i].kind == DATA)) ->
					good = good | BIT(i)
				:: else
				fi
			}
		fi
	}
}

inline check(p)
{
	order_extends_causality = true;
	past_is_here = true;
	nothing_is_from_the_future = true;
	for (i : 0 .. n_commits - 1) {
		if
		:: HAS(peer[p].has, i) ->
			past_is_here = past_is_here && (commit[i].past & ~peer[p].has) == 0;
			nothing_is_from_the_future =
				nothing_is_from_the_future && TIME(commit[i].stamp) <= CLOCK(p) + SKEW;
			for (j : 0 .. n_commits - 1) {
				order_extends_causality = order_extends_causality &&
					(!HAS(commit[i].past, j) || commit[j].stamp < commit[i].stamp)
			}
		:: else
		fi
	}
	find_good();
	grant_is_in_the_past = (peer[p].has & ~good) == 0;
	acknowledged_is_kept = (peer[p].told & ~peer[p].stored) == 0 && (peer[p].told & ~peer[p].has) == 0;
	assert(order_extends_causality);
	assert(past_is_here);
	assert(nothing_is_from_the_future);
	assert(grant_is_in_the_past);
	assert(acknowledged_is_kept)
}

/* ---- Steps ---- */

inline sign(p, what)
{
	fresh = n_commits;
	n_commits++;
	commit[fresh].author = p;
	commit[fresh].kind = what;
	commit[fresh].past = peer[p].has;
	commit[fresh].stamp = CLOCK(p) * COMMITS;
	for (i : 0 .. fresh) {
		if
#ifndef STAMPED_BY_THE_CLOCK /* order_extends_causality */
		:: HAS(peer[p].has, i) && commit[i].stamp >= commit[fresh].stamp ->
			commit[fresh].stamp = commit[i].stamp + 1
#endif
		:: else
		fi
	}
	if
	:: COUNTS(p, fresh) -> peer[p].has = peer[p].has | BIT(fresh)
	:: else -> strays = strays | BIT(fresh)
	fi;
	check(p)
}

#define ANSWER(c)                                                                                                      \
	:: d_step {                                                                                                    \
			OFFERED(p, c) && PARENTS_ARE_HERE(p, c) && COUNTS(p, c) && !EARLY(p, c) ->                     \
			peer[p].has = peer[p].has | BIT(c);                                                            \
			check(p)                                                                                       \
		}

#ifdef HELD_BACK_IS_REFUSED /* held_back_enters */
#define REFUSE(c) :: d_step { OFFERED(p, c) && EARLY(p, c) -> peer[p].refused = peer[p].refused | BIT(c) }
#else
#define REFUSE(c)
#endif

#define AWAKE (n_commits < COMMITS && now <= EVENING)

proctype run_peer(byte p)
{
end:	do
	:: d_step { AWAKE -> sign(p, DATA) }
	:: d_step { AWAKE -> sign(p, GRANT_ADMIN) }
	:: d_step { AWAKE -> sign(p, GRANT_WRITER) }
	ANSWER(0) ANSWER(1) ANSWER(2)
	REFUSE(0) REFUSE(1) REFUSE(2)
	:: d_step {
			peer[p].stored != peer[p].has ->
			peer[p].stored = peer[p].has;
			peer[p].told = peer[p].has;
			check(p)
		}
#ifdef TOLD_BEFORE_STORED /* acknowledged_is_kept */
	:: d_step {
			peer[p].told != peer[p].has ->
			peer[p].told = peer[p].has;
			check(p)
		}
#endif
	:: d_step {
			n_crashes < CRASHES && peer[p].has != peer[p].stored ->
			n_crashes++;
			peer[p].has = peer[p].stored;
			check(p)
		}
	od
}

/* When nothing can happen any more, all have the same, and so all that was ever told. */
init {
	atomic {
		run run_peer(0);
		run run_peer(1);
		run run_peer(2)
	}
	do
	:: d_step { now < NIGHT -> now++ }
	:: timeout ->
		held_back_enters = peer[0].has == peer[1].has && peer[1].has == peer[2].has;
		assert(held_back_enters);
		break
	od
}
