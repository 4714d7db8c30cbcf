/*
 * Members of core/FORMAT.md, section 10: the creator, 0, has let two admins, 1 and 2, and a writer, 3, in. Then they sign what
 * they like, on top of whatever they like, and every such history is judged. The first commit is not among those of the model:
 * everything has it in its past. Below every assertion stands the name that section 15 gives it.
 *
 * Each #ifdef breaks one rule; tests/model/check expects the invariant that it names to fail. It runs:
 *
 * check:
 */
#define COMMITS 4
#define NOBODY	4

#define BIT(i)	    (1 << (i))
#define HAS(set, i) (((set) >> (i)) & 1)

#define DATA   0
#define REVOKE 1
#define GRANT  2 /* as what the key was */

typedef Commit {
	byte author, kind, key;
	byte past /* the commits below it */
};

byte n_commits;
Commit commit[COMMITS];

/* A judgement of a set of commits. */
hidden byte set, provisional, valid, revokes, grants, line;
hidden byte first_valid, first_line, stands, c, v, g, rank;
hidden byte ok, excluded;
hidden byte equals_go_together, revoked_stays_out, void_changes_nothing, the_line_does_not_grow, same_line_same_outcomes;

/* ---- Rules ---- */

/* A revocation excludes a commit that it does not let stand, whatever it relies on that has not seen it. */
#define EXCLUDES(v, c) (HAS(revokes, v) && commit[v].key == commit[c].author && v != c && !HAS(commit[v].past, c))
#ifdef ANY_GRANT_READMITS /* revoked_stays_out */
#define EXCLUDES_UNDER(v, c, g) false
#else
#define EXCLUDES_UNDER(v, c, g) (EXCLUDES(v, c) && !HAS(commit[g].past, v))
#endif

/* ok: some grant that counts lets c be. The first commit's has seen no revocation. */
inline look(c)
{
	excluded = false;
	for (v : 0 .. COMMITS - 1) {
		if
		:: EXCLUDES(v, c) -> excluded = true
		:: else
		fi
	}
	ok = !excluded;
	for (g : 0 .. COMMITS - 1) {
		if
		:: HAS(grants, g) && HAS(commit[c].past, g) && commit[g].key == commit[c].author ->
			excluded = false;
			for (v : 0 .. COMMITS - 1) {
				if
				:: EXCLUDES_UNDER(v, c, g) -> excluded = true
				:: else
				fi
			}
			ok = ok || !excluded
		:: else
		fi
	}
}

#define RANK(key) (key == 0 -> 0 : (key == 3 -> 2 : 1)) /* 2: below all admins */
#define IS_CONTROL(c, of_rank) (HAS(set, c) && commit[c].kind != DATA && RANK(commit[c].author) == of_rank)

inline judge_rank(rank)
{
	provisional = 0;
	for (c : 0 .. COMMITS - 1) {
		if
		:: IS_CONTROL(c, rank) ->
			look(c);
			provisional = provisional | (ok -> BIT(c) : 0)
		:: else
		fi
	}
#ifndef EQUALS_ARE_SAFE /* equals_go_together */
	for (c : 0 .. COMMITS - 1) {
		if
		:: HAS(provisional, c) && commit[c].kind == REVOKE && RANK(commit[c].key) == rank ->
			revokes = revokes | BIT(c)
		:: else
		fi
	}
#endif
	for (c : 0 .. COMMITS - 1) {
		if
		:: HAS(provisional, c) ->
			look(c);
			valid = valid | (ok -> BIT(c) : 0)
		:: else
		fi
	}
	for (c : 0 .. COMMITS - 1) {
		if
		:: HAS(valid & provisional, c) && commit[c].kind == REVOKE && RANK(commit[c].key) > rank ->
			revokes = revokes | BIT(c)
#ifdef VOID_GRANTS_COUNT /* void_changes_nothing */
		:: IS_CONTROL(c, rank) && commit[c].kind == GRANT ->
#else
		:: HAS(valid & provisional, c) && commit[c].kind == GRANT ->
#endif
			grants = grants | BIT(c)
		:: else
		fi
	}
}

inline find_line()
{
#ifdef VOID_REVOCATIONS_LEAVE /* same_line_same_outcomes */
	stands = valid;
#else
	stands = valid | revokes;
#endif
	line = stands;
	for (c : 0 .. COMMITS - 1) {
		if
		:: HAS(stands, c) -> line = line | commit[c].past
		:: else
		fi
	}
#ifdef VOID_COMMITS_STAY /* the_line_does_not_grow */
	line = set
#endif
}

inline judge()
{
	valid = 0;
	revokes = 0;
	grants = 0;
	judge_rank(0);
	judge_rank(1);
	for (c : 0 .. COMMITS - 1) {
		if
		:: HAS(set, c) && commit[c].kind == DATA ->
			look(c);
			valid = valid | (ok -> BIT(c) : 0)
		:: else
		fi
	}
	find_line()
}

/* ---- Invariants ---- */

#define IS_REVOKE(c, by, whom) (commit[c].kind == REVOKE && commit[c].author == by && commit[c].key == whom)

/* Whether a grant by an author that may make it, signed after v, lets c in. */
#define READMITS(g, v, c)                                                                                             \
	(commit[g].kind == GRANT && commit[g].key == commit[c].author && HAS(commit[c].past, g) && HAS(commit[g].past, v))

inline check_pair(v, c)
{
	/* Unless the creator has revoked one of them, then both words count. */
	if
	:: IS_REVOKE(v, 1, 2) && IS_REVOKE(c, 2, 1) && HAS(provisional, v) && HAS(provisional, c) &&
	   !HAS(commit[v].past, c) && !HAS(commit[c].past, v) && grants == 0 ->
		equals_go_together = !HAS(valid, v) && !HAS(valid, c);
		assert(equals_go_together)
	:: else
	fi;
	if
	:: HAS(revokes, v) && HAS(valid, c) && EXCLUDES(v, c) ->
		revoked_stays_out = false;
		void_changes_nothing = false;
		for (g : 0 .. COMMITS - 1) {
			revoked_stays_out = revoked_stays_out || READMITS(g, v, c);
			void_changes_nothing = void_changes_nothing || (READMITS(g, v, c) && HAS(valid, g))
		}
		assert(revoked_stays_out);
		assert(void_changes_nothing)
	:: else
	fi
}

inline check_line(c)
{
	if
	:: HAS(line, c) && !HAS(valid | revokes, c) ->
		the_line_does_not_grow = false;
		for (v : 0 .. COMMITS - 1) {
			the_line_does_not_grow =
				the_line_does_not_grow || (HAS(valid | revokes, v) && HAS(commit[v].past, c))
		}
		assert(the_line_does_not_grow)
	:: else
	fi
}

hidden byte x, y;

inline check()
{
	set = BIT(COMMITS) - 1;
	judge();
	for (x : 0 .. COMMITS - 1) {
		for (y : 0 .. COMMITS - 1) {
			check_pair(x, y)
		}
		check_line(x)
	}
	/* Who holds the line alone judges it alike. */
	first_valid = valid;
	first_line = line;
	set = line;
	judge();
	same_line_same_outcomes = valid == (first_valid & first_line) && line == first_line;
	assert(same_line_same_outcomes)
}

/* ---- Histories ---- */

#define SIGN(by, what, whom)                                                                                           \
	commit[n_commits].author = by;                                                                                 \
	commit[n_commits].kind = what;                                                                                 \
	commit[n_commits].key = whom

hidden byte past, i;

/* Whatever an author had seen: a set with all that is below it. */
inline see()
{
	past = 0;
	i = 0;
	do
	:: i < n_commits ->
		if
		:: past = past | BIT(i) | commit[i].past
		:: true
		fi;
		i++
	:: else -> break
	od;
	commit[n_commits].past = past
}

init {
	do
	:: n_commits < COMMITS ->
		atomic {
			if
			:: SIGN(0, REVOKE, 1)
			:: SIGN(0, GRANT, 1)
			:: SIGN(1, REVOKE, 2)
			:: SIGN(1, REVOKE, 3)
			:: SIGN(1, GRANT, 3)
			:: SIGN(1, DATA, NOBODY)
			:: SIGN(2, REVOKE, 1)
			:: SIGN(2, GRANT, 3)
			:: SIGN(3, DATA, NOBODY)
			fi;
			see();
			n_commits++
		}
	:: else -> break
	od;
	skip;
	d_step { check() }
}
