/*
 * The state: a tree of tables. Keys are a class byte and a name: class 1 are the system's own tables
 * (conflicts, members, resolved, tags), class 2 the user's. Values are struct sw_table.
 */
#ifndef SW_CORE_STATE_H
#define SW_CORE_STATE_H

#include "core/commit.h"
#include "core/tree.h"

enum sw_table_class { SW_CLASS_SYSTEM = 1, SW_CLASS_USER = 2 };

#define SW_TABLE_CONFLICTS "conflicts" /* table NUL row NUL commit -> digest of what was lost */
#define SW_TABLE_MEMBERS   "members"   /* public key -> role */
#define SW_TABLE_RESOLVED  "resolved"  /* table NUL row NUL commit -> "" */
#define SW_TABLE_TAGS	   "tags"      /* name -> commit id */

#define SW_TABLE_MODE_DEFAULT 0755 /* of a table that no mkdir made */

/* The key of a table in the state tree. buf has 1 + SW_NAME_MAX bytes. */
struct sw_view sw_state_key(enum sw_table_class class, struct sw_view name, uint8_t *buf);

/* SW_ENOTFOUND when there is no such table. */
int sw_state_table(const struct sw_nodes *nodes, const struct sw_hash *state, enum sw_table_class class,
		   struct sw_view name, struct sw_table *out) SW_MUST_CHECK;
/* A row; bytes borrow as sw_nodes_get() says. SW_ENOTFOUND: no such row or table. */
/* What a table's tree has for a row. */
int sw_state_decode_row(struct sw_view value, struct sw_row *out) SW_MUST_CHECK;
int sw_state_row(const struct sw_nodes *nodes, const struct sw_hash *state, struct sw_view table,
		 struct sw_view key, struct sw_row *out) SW_MUST_CHECK;

/* The key of a record in "conflicts" or "resolved"; appended to out. */
void sw_conflict_key(struct sw_view table, struct sw_view key, const struct sw_hash *commit,
		     struct sw_buf *out);
/* The same taken apart; the names borrow from it. SW_ECORRUPT, with a sentence. */
int sw_conflict_key_parse(struct sw_view record, struct sw_view *table, struct sw_view *key,
			  struct sw_hash *commit) SW_MUST_CHECK;

#endif
