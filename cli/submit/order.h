/* Files that are under way, in the order in which they were named: answers come in any order and leave in this one. */
#ifndef CLI_SUBMIT_ORDER_H
#define CLI_SUBMIT_ORDER_H

#include "cli/submit/submit.h"

typedef enum slot_state {
    SLOT_READY,  /* to be handed over, at again_ms or later */
    SLOT_FLYING, /* somebody has it */
    SLOT_ENDED   /* to be printed when its turn comes */
} slot_state;

typedef struct slot {
    const char *name; /* borrowed from run->files */
    slot_state state;
    cli_bytes payload; /* owned while it may have to be handed over (again) */
    imgq_id id;
    bool has_id;
    int64_t first_ms;   /* first time it was handed over: --timeout counts from here */
    int64_t again_ms;   /* READY: not before; keras: when it was pushed last */
    int64_t pushes;     /* keras: how often */
    imgq_status status; /* of the end, or why it is still READY */
    int code;           /* exit code of its end */
    char message[256];
    imgq_result *result; /* owned */
    double total_ms;
} slot;

/** A ring of slots for the files [printed, next) of run->files. */
typedef struct order {
    submit_run *run;
    slot *slots;
    size_t room;          /* slots */
    size_t printed, next; /* files */
    size_t flying, ready;
    bool silent_failures; /* a signal came: one line at the end instead of one for each */
    bool stdout_is_gone;
} order;

/** @return CLI_EXIT_OK or the exit code, said */
int order_begin(order *o, submit_run *run, size_t window);
void order_end(order *o);
slot *order_at(order *o, size_t file);
/** Room for one more? */
bool order_has_room(const order *o);
/** The next file's slot, READY. */
slot *order_open(order *o);
/** Ends of slots; READY or FLYING before. */
void order_fail(order *o, slot *s, imgq_status status, int code, const char *message);
/** @param result given, or NULL: accepted is all that was wanted */
void order_finish(order *o, slot *s, imgq_result *result);
/** From READY to FLYING and back. */
void order_fly(order *o, slot *s);
void order_retry(order *o, slot *s, int64_t again_ms);
/** The flying slot with this id; NULL. */
slot *order_find(order *o, const imgq_id *id);
/** Print what is at the head and has ended, count it. */
void order_print(order *o);
/** When the first of the slots runs out of its timeout; INT64_MAX. */
int64_t order_next_deadline(order *o);

#endif
