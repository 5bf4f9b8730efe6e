------------------------------ MODULE SharedLog ------------------------------
(***************************************************************************)
(* How replicas append to one log: rows of the inbox that are committed     *)
(* late, in doubt or twice; learners that lose the lease at any time; the   *)
(* fence of the database.  Time is left out: a lease can end whenever it    *)
(* likes, so what holds here holds for all clocks.                          *)
(*                                                                          *)
(* Names follow src/floorline/replication: tables.py (fence), lease.py,     *)
(* inbox.py (InboxWriter, InboxReader.take), learner.py, learner_store.py.  *)
(***************************************************************************)
EXTENDS Integers, Sequences, FiniteSets

CONSTANTS
  First, Second,  \* two replicas; the first event of Second is about the first one of First
  Learners,
  MaxNumber,      \* events of each replica
  MaxEpoch,       \* leases that are taken
  MaxDrops,       \* answers to commits that are lost
  Fence,          \* "lock": as built; "check": compared but not locked; "none"
  FollowIds,      \* FALSE: as built; TRUE: the reader goes on after the largest id it has seen
  PassRepeated    \* TRUE: as built; FALSE: the reader does not compare numbers

Replicas == {First, Second}

VARIABLES
  rows,       \* inbox: set of [id, ev, done]; a row that is not done is not committed
  nextId,     \* sequence of the ids, which counts before the commit
  sent,       \* number of each replica's latest event
  acked,      \* events whose commit was answered
  resend,     \* whether a replica must send its latest event again
  drops,
  log, consumed,            \* tables of the log, and of the number of each replica in it
  epoch,                    \* of the lease
  mine, view, known, batch, cursor, writing,  \* of each learner
  published,                \* epoch and events of the published state
  lastEpoch, stepBack       \* history: epoch of the last write, and whether one went back

vars == <<rows, nextId, sent, acked, resend, drops, log, consumed, epoch, mine, view, known,
          batch, cursor, writing, published, lastEpoch, stepBack>>
inboxVars == <<rows, nextId, sent, acked, resend, drops>>
learnerVars == <<mine, view, known, batch, cursor, writing>>
logVars == <<log, consumed, published, lastEpoch, stepBack>>

Unread == <<"unread">>
Zero == [r \in Replicas |-> 0]
InSeq(e, s) == \E i \in 1..Len(s) : s[i] = e
Latest(r) == <<r, sent[r]>>

Init ==
  /\ rows = {} /\ nextId = 1 /\ sent = Zero /\ acked = {} /\ drops = 0
  /\ resend = [r \in Replicas |-> FALSE]
  /\ log = <<>> /\ consumed = Zero /\ epoch = 0
  /\ mine = [l \in Learners |-> 0] /\ view = [l \in Learners |-> Unread]
  /\ known = [l \in Learners |-> Zero] /\ batch = [l \in Learners |-> <<>>]
  /\ cursor = [l \in Learners |-> 0] /\ writing = [l \in Learners |-> FALSE]
  /\ published = [epoch |-> 0, events |-> <<>>] /\ lastEpoch = 0 /\ stepBack = FALSE

-----------------------------------------------------------------------------
(* Replicas *)

Insert(r, n) ==
  /\ rows' = rows \cup {[id |-> nextId, ev |-> <<r, n>>, done |-> FALSE]}
  /\ nextId' = nextId + 1

Send(r) ==
  /\ sent[r] < MaxNumber
  /\ sent[r] > 0 => Latest(r) \in acked
  /\ (r = Second /\ sent[r] = 0) => <<First, 1>> \in acked
  /\ Insert(r, sent[r] + 1)
  /\ sent' = [sent EXCEPT ![r] = @ + 1]
  /\ UNCHANGED <<acked, resend, drops, epoch, learnerVars, logVars>>

Commit(row) ==
  /\ ~row.done
  /\ rows' = (rows \ {row}) \cup {[row EXCEPT !.done = TRUE]}
  /\ acked' = IF resend[row.ev[1]] THEN acked ELSE acked \cup {row.ev}
  /\ UNCHANGED <<nextId, sent, resend, drops, epoch, learnerVars, logVars>>

\* The connection is lost; the row may still be committed.
Drop(r) ==
  /\ drops < MaxDrops /\ sent[r] > 0 /\ Latest(r) \notin acked /\ ~resend[r]
  /\ resend' = [resend EXCEPT ![r] = TRUE]
  /\ drops' = drops + 1
  /\ UNCHANGED <<rows, nextId, sent, acked, epoch, learnerVars, logVars>>

Abort(row) ==
  /\ ~row.done /\ resend[row.ev[1]]
  /\ rows' = rows \ {row}
  /\ UNCHANGED <<nextId, sent, acked, resend, drops, epoch, learnerVars, logVars>>

\* An insertion waits for a row of the same number, and does nothing if that is committed.
SendAgain(r) ==
  LET same == {row \in rows : row.ev = Latest(r)} IN
  /\ resend[r] /\ \A row \in same : row.done
  /\ resend' = [resend EXCEPT ![r] = FALSE]
  /\ IF same = {}
       THEN Insert(r, sent[r]) /\ acked' = acked
       ELSE UNCHANGED <<rows, nextId>> /\ acked' = acked \cup {Latest(r)}
  /\ UNCHANGED <<sent, drops, epoch, learnerVars, logVars>>

-----------------------------------------------------------------------------
(* Learners *)

Reset(l, e) ==
  /\ mine' = [mine EXCEPT ![l] = e]
  /\ view' = [view EXCEPT ![l] = Unread]
  /\ batch' = [batch EXCEPT ![l] = <<>>]
  /\ cursor' = [cursor EXCEPT ![l] = 0]
  /\ writing' = [writing EXCEPT ![l] = FALSE]

\* A write that compared the epoch holds the lease's row until it ends.
Take(l) ==
  /\ epoch < MaxEpoch /\ (mine[l] = 0 \/ mine[l] # epoch) /\ ~writing[l]
  /\ Fence = "lock" => \A k \in Learners : ~writing[k]
  /\ epoch' = epoch + 1
  /\ Reset(l, epoch + 1)
  /\ UNCHANGED <<known, inboxVars, logVars>>

\* A crash, also in the middle of a write, which is then not done.
Crash(l) ==
  /\ mine[l] > 0
  /\ Reset(l, 0)
  /\ UNCHANGED <<known, epoch, inboxVars, logVars>>

Recover(l) ==
  /\ mine[l] > 0 /\ view[l] = Unread
  /\ view' = [view EXCEPT ![l] = log]
  /\ known' = [known EXCEPT ![l] = consumed]
  /\ UNCHANGED <<mine, batch, cursor, writing, epoch, inboxVars, logVars>>

RECURSIVE Ordered(_)
Ordered(set) ==
  IF set = {} THEN <<>>
  ELSE LET next == CHOOSE row \in set : \A other \in set : row.id <= other.id
       IN <<next>> \o Ordered(set \ {next})

\* InboxReader.take: by the ids, and of each replica without holes.
RECURSIVE Chosen(_, _)
Chosen(seen, number) ==
  IF seen = <<>> THEN <<>>
  ELSE LET row == Head(seen) r == row.ev[1] IN
       IF PassRepeated /\ row.ev[2] # number[r] + 1 THEN Chosen(Tail(seen), number)
       ELSE <<row>> \o Chosen(Tail(seen), [number EXCEPT ![r] = row.ev[2]])

Read(l) ==
  LET seen == {row \in rows : row.done /\ (FollowIds => row.id > cursor[l])}
      repeated == {row \in seen : PassRepeated /\ row.ev[2] <= known[l][row.ev[1]]}
      chosen == Chosen(Ordered(seen \ repeated), known[l])
  IN
  /\ mine[l] > 0 /\ view[l] # Unread /\ batch[l] = <<>> /\ ~writing[l] /\ seen # {}
  /\ batch' = [batch EXCEPT ![l] = chosen]
  /\ rows' = rows \ repeated
  /\ cursor' = [cursor EXCEPT ![l] =
       IF FollowIds THEN (CHOOSE i \in {row.id : row \in seen} : \A row \in seen : row.id <= i)
       ELSE 0]
  /\ UNCHANGED <<nextId, sent, acked, resend, drops, mine, view, known, writing, epoch, logVars>>

BeginWrite(l) ==
  /\ batch[l] # <<>> /\ ~writing[l]
  /\ Fence # "none" => mine[l] = epoch
  /\ writing' = [writing EXCEPT ![l] = TRUE]
  /\ UNCHANGED <<mine, view, known, batch, cursor, epoch, inboxVars, logVars>>

EndWrite(l) ==
  LET events == [i \in 1..Len(batch[l]) |-> batch[l][i].ev]
      after(number) == [r \in Replicas |->
        LET own == {events[i][2] : i \in {j \in 1..Len(events) : events[j][1] = r}} IN
        IF own = {} THEN number[r] ELSE CHOOSE n \in own : \A m \in own : m <= n]
  IN
  /\ writing[l]
  /\ log' = log \o events
  /\ consumed' = after(consumed)
  /\ rows' = IF FollowIds THEN rows ELSE rows \ {batch[l][i] : i \in 1..Len(batch[l])}
  /\ view' = [view EXCEPT ![l] = @ \o events]
  /\ known' = [known EXCEPT ![l] = after(@)]
  /\ batch' = [batch EXCEPT ![l] = <<>>]
  /\ writing' = [writing EXCEPT ![l] = FALSE]
  /\ stepBack' = (stepBack \/ mine[l] < lastEpoch)
  /\ lastEpoch' = mine[l]
  /\ UNCHANGED <<nextId, sent, acked, resend, drops, mine, cursor, published, epoch>>

Publish(l) ==
  /\ mine[l] > 0 /\ view[l] # Unread /\ ~writing[l] /\ batch[l] = <<>>
  /\ Fence # "none" => mine[l] = epoch
  /\ published # [epoch |-> mine[l], events |-> view[l]]
  /\ published' = [epoch |-> mine[l], events |-> view[l]]
  /\ stepBack' = (stepBack \/ mine[l] < lastEpoch)
  /\ lastEpoch' = mine[l]
  /\ UNCHANGED <<log, consumed, epoch, inboxVars, learnerVars>>

Next ==
  \/ \E r \in Replicas : Send(r) \/ Drop(r) \/ SendAgain(r)
  \/ \E row \in rows : Commit(row) \/ Abort(row)
  \/ \E l \in Learners : \/ Take(l) \/ Crash(l) \/ Recover(l) \/ Read(l)
                         \/ BeginWrite(l) \/ EndWrite(l) \/ Publish(l)

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* What must hold *)

OneLearnerWrites == ~stepBack

NothingTwice == \A i, j \in 1..Len(log) : i # j => log[i] # log[j]

\* Every acknowledged event is in the log, or where the next read finds it.
NothingLost ==
  \A e \in acked :
    \/ InSeq(e, log)
    \/ \E row \in rows : /\ row.ev = e /\ row.done
                         /\ \A l \in Learners : (mine[l] = epoch /\ batch[l] = <<>>)
                              => row.id > cursor[l]

InOrder ==
  \A i \in 1..Len(log) :
    /\ log[i][2] > 1 => \E j \in 1..(i - 1) : log[j] = <<log[i][1], log[i][2] - 1>>
    /\ log[i] = <<Second, 1>> => \E j \in 1..(i - 1) : log[j] = <<First, 1>>

PublishedIsTheLog ==
  /\ Len(published.events) <= Len(log)
  /\ \A i \in 1..Len(published.events) : published.events[i] = log[i]
=============================================================================
