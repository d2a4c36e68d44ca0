"""The sentences of the little world, as a table.

A line is one way to say an event. A slot names what the event is about: A and
B are people, x and y things, P and Q places, s a spot, n a number, k a kind
that is counted, c a look, m a mood, d a day. What follows the dot is a form:
`{A.obj}` him, `{A.his}` his, `{x.a}` a red lamp, `{P.in}` in the barn. What
follows the colon is a verb that agrees: `{A:go}` goes or went; with `!` it is
in the present, as in speech; `{:rain}` has no slot for a subject.
"""

PATTERNS = {
    "be_at": """
        {A} {A:be} {P.in}.
        {A} {A:stand} {P.in}.
        {A} {A:wait} {P.in}.
        {A} {A:stay} {P.in} for a while.
        {A} {A:sit} down {P.in}.
        {A} {A:like} to be {P.in}.
        {A} {A:look} around {P.in}.
    """,
    "is_at": """
        {A.name} {A:be} {P.in}.
        {A.name} {A:stand} {P.in}.
        {A.name} {A:wait} {P.in}.
        {A.name} {A:sit} {P.in}.
        {A.name} {A:play} {P.in}.
        {A.name} {A:rest} {P.in}.
        {P.in} {A:be} {A.name}.
        {A.name} {A:be} busy {P.in}.
    """,
    "still_at": """
        {A} {A:be} still {P.in}.
        At that moment, {A.name} {A:be} {P.in}.
        {A} {A:have} not left {P}.
        Meanwhile, {A.name} {A:wait} {P.in}.
        Meanwhile, {A.name} {A:be} {P.in}.
    """,
    "first_at": """
        One morning, {A.name} {A:be} {P.in}.
        After dinner, {A.name} {A:be} {P.in}.
        One evening, {A.name} {A:be} {P.in}.
        It {:be} early, and {A.name} {A:be} {P.in}.
        It {:be} late, and {A.name} {A:be} {P.in}.
        After lunch, {A.name} {A:be} {P.in}.
        After school, {A.name} {A:be} {P.in}.
        Before breakfast, {A.name} {A:be} {P.in}.
        {A.name} {A:play} {P.in}.
        {A.name} {A:work} {P.in}.
        {A.name} {A:have} some time and {A:be} {P.in}.
        {P.in} {A:be} {A.name}.
    """,
    "both_at": """
        {A.name} {A:be} {P.in} with {B.name}.
        {A.name} {A:play} {P.in} with {B.name}.
        {A.name} {A:sit} {P.in}, and so {B:do} {B.name}.
        One day, {A.name} {A:be} {P.in} with {B.name}.
        One morning, {A.name} {A:be} {P.in}, and {B.name} {B:be} there, too.
        {A.name} and {A.his} friend {B.name} {+:be} {P.in}.
    """,
    "go": """
        {A} {A:go} {P.to}.
        {A} {A:walk} {P.to}.
        {A} {A:run} {P.to}.
        {A} {A:hurry} {P.to}.
        {A} {A:come} {P.to}.
        {A} {A:skip} {P.to}.
        {A} {A:rush} {P.to}.
        {A} slowly {A:walk} {P.to}.
        {A} {A:race} {P.to}.
        {A} {A:tiptoe} {P.to}.
        {A} {A:march} {P.to}.
        {A} {A:make} {A.his} way {P.to}.
        {A} {A:go} over {P.to}.
        {A} quickly {A:run} {P.to}.
        {A} {A:wander} {P.to}.
        {A} {A:follow} the path {P.to}.
        {A} {A:decide} to go {P.to}, and off {A.he} {A:go}.
        {A} {A:wave} goodbye and {A:walk} {P.to}.
        {A} {A:want} to see {P}, so {A.he} {A:go} there.
        {A} {A:hear} a noise and {A:go} {P.to}.
    """,
    "leave": """
        {A} {A:leave} {P} and {A:go} {Q.to}.
        {A} {A:leave} {P} and {A:walk} {Q.to}.
        {A} {A:go} from {P} {Q.to}.
        {A} {A:run} from {P} {Q.to}.
        {A} {A:run} all the way from {P} {Q.to}.
        From {P}, {A} {A:go} {Q.to}.
        {A} {A:do} not want to stay {P.in}, so {A.he} {A:go} {Q.to}.
        {A} {A:have} seen enough of {P}, so {A.he} {A:walk} {Q.to}.
    """,
    "follow": """
        {A} {A:follow} {B.obj} {P.to}.
        {A} {A:go} {P.to} to see {B.obj}.
        {A} {A:join} {B.obj} {P.in}.
        {A} {A:run} after {B.obj} {P.to}.
        {A} {A:go} {P.to} to look for {B.obj}.
        {A} {A:come} {P.to} and {A:wave} to {B.obj}.
        {A} {A:find} {B.obj} {P.in}.
        {A} {A:visit} {B.obj} {P.in}.
    """,
    "carry": """
        {A} {A:carry} {x} {P.to}.
        {A} {A:take} {x} {P.to}.
        {A} {A:bring} {x} {P.to}.
        {A} {A:go} {P.to} with {x}.
        {A} {A:walk} {P.to} with {x.the}.
        {A} carefully {A:carry} {x} {P.to}.
        {A} {A:run} {P.to} with {x.the} in {A.his} arms.
        {A} {A:hold} {x} tight and {A:walk} {P.to}.
        With {x.the} in {A.his} hands, {A} {A:go} {P.to}.
        {A} {A:do} not let go of {x.the} and {A:carry} {x.it} {P.to}.
    """,
    "meet": """
        {A} {A:meet} {B.obj} {P.in}.
        {A} {A:see} {B.obj} {P.in}.
        There, {P.in}, {A} {A:meet} {B.name}.
        {A} {A:be} happy to see {B.obj} {P.in}.
        {P.in}, {A.name} {A:talk} to {B.name}.
        {A} {A:sit} down next to {B.obj} {P.in}.
        {A} and {B.name} {+:be} together {P.in} now.
    """,
    "alone": """
        {A} {A:be} all alone {P.in}.
        Nobody else {:be} {P.in} with {A.obj}.
        {A} {A:be} the only one {P.in}.
        {A} {A:look} around, but nobody else {:be} {P.in}.
    """,
    "new_have": """
        {A} {A:have} {x.a}.
        {A} {A:have} {x.a} with {A.him}.
        {A} {A:hold} {x.a} in {A.his} hands.
        {A} {A:carry} {x.a}.
        In {A.his} bag, {A} {A:have} {x.a}.
        {A} {A:have} {x.a} from {A.his} grandmother.
        {A} {A:have} {x.a} from {A.his} uncle.
        {A} {A:have} {x.a} for {A.his} birthday.
        {A} {A:be} very proud of {A.his} present: {x.a}.
        {A} never {A:go} anywhere without {A.his} treasure, {x.a}.
        {A} {A:hold} something behind {A.his} back: {x.a}.
        {A} {A:open} a small bag and {A:take} out {x.a}.
    """,
    "new_lie": """
        {P.in}, there {x:be} {x.a} {s}.
        There {x:be} {x.a} {s} {P.in}.
        {x.a} {x:lie} {s} {P.in}.
        {x.a} {x:be} {s} {P.in}.
        Somebody {:have} left {x.a} {s} {P.in}.
    """,
    "new_find": """
        {A} {A:find} {x.a} {s}.
        {A} {A:look} around and {A:find} {x.a} {s}.
        {s}, {A} {A:find} {x.a} and {A:pick} {x.it} up.
        {A} {A:spot} {x.a} {s} and {A:pick} {x.it} up.
        {A} {A:see} something {s} and {A:pick} it up: {x.a}.
        {A} {A:trip} over {x.a} {s}, and {A.he} {A:keep} {x.it}.
    """,
    "holds": """
        {A} {A:have} {x}.
        {A} {A:be} holding {x}.
        {A} {A:hold} {x} in {A.his} hands.
        {x.sub} {x:be} in {A.poss} hands.
        {A} {A:look} at {x} in {A.his} hands.
        {A} {A:be} the one with {x.the}.
        {A} {A:have} {x.the} in {A.his} bag.
        {A} {A:take} good care of {x}.
    """,
    "still_holds": """
        {A} still {A:have} {x}.
        {A} {A:keep} {x}.
        Meanwhile, {A.name} {A:have} {x.the}.
        {x.sub} {x:be} still in {A.poss} bag.
        {A} {A:have} not let go of {x}.
    """,
    "lies": """
        {x.sub} {x:be} {P.in}.
        {P.in} {x:be} {x.the}.
        {x.sub} {x:lie} {P.in}.
        You could see {x.the} {P.in}.
        Anybody could find {x.the} {P.in}.
    """,
    "still_lies": """
        {x.sub} {x:be} still {P.in}.
        At that moment, {x.the} {x:be} {P.in}.
        Nobody {:touch} {x}, and so {x.they} {x:stay} {P.in}.
        Meanwhile, {x.the} {x:be} {P.in}.
    """,
    "lies_on": """
        {x.sub} {x:be} {s}.
        {x.sub} {x:lie} {s}.
        {s} {x:be} {x.the}.
    """,
    "still_lies_on": """
        {x.sub} {x:be} still {s}.
        {x.sub} {x:stay} {s}.
        {x.sub} still {x:lie} {s}.
    """,
    "looks": """
        {x.sub} {x:be} {c}.
        {x.sub} {x:look} very {c}.
    """,
    "take": """
        {A} {A:take} {x}.
        {A} {A:pick} up {x.the}.
        {A} {A:get} {x}.
        {A} {A:see} {x.the} and {A:pick} {x.it} up.
        {A} {A:reach} for {x.the} and {A:take} {x.it}.
        {A} {A:pick} {x.the} up and {A:smile}.
        {A} {A:grab} {x.the}.
        {A} gently {A:lift} {x.the}.
        {A} {A:put} {x} in {A.his} bag.
        {A} {A:want} {x.the}, so {A.he} {A:take} {x.it}.
    """,
    "take_off": """
        {A} {A:find} {x} {s} and {A:take} {x.it}.
        {A} {A:look} {s}, {A:find} {x.the} and {A:pick} {x.it} up.
        {A} {A:see} {x.the} {s} and {A:take} {x.it}.
        {x.sub} {x:be} {s}, so {A.name} {A:pick} {x.it} up.
    """,
    "put": """
        {A} {A:put} {x} {s}.
        {A} {A:leave} {x} {s}.
        {A} {A:hide} {x} {s}.
        {A} {A:set} {x} down {s}.
        {A} carefully {A:put} {x} {s}.
        {A} {A:place} {x} {s}.
        {A} {A:drop} {x} {s}.
        {A} {A:lay} {x} {s}.
        {A} {A:be} tired of holding {x.the} and {A:put} {x.it} {s}.
        {A} {A:think} for a moment and {A:put} {x} {s}.
        {A} {A:look} around and quickly {A:hide} {x} {s}.
        "I will leave {x.the} {s}," {A:say} {A.name}, and so {A.he} {A:do}.
    """,
    "leave_thing": """
        {A} {A:leave} {x} {P.in}.
        {A} {A:forget} {x} {P.in}.
        {A} {A:put} {x} down {P.in}.
        {A} {A:want} {x} to stay {P.in} and {A:put} {x.it} down.
    """,
    "give": """
        {A} {A:give} {x} to {B.obj}.
        {A} {A:give} {B.obj} {x.the}.
        {A} {A:hand} {x} to {B.obj}.
        {A} {A:hand} {B.obj} {x.the}.
        {A} {A:pass} {x} to {B.obj}.
        {A} {A:lend} {B.obj} {x.the}.
        {A} {A:let} {B.obj} have {x.the}.
        {A} {A:put} {x} into {B.poss} hands.
        {A} {A:smile} and {A:give} {x} to {B.obj}.
        {A} kindly {A:give} {x} to {B.obj}.
        "Here {x:be!} {x.the}," {A:say} {A.name} and {A:give} {x.it} to {B.obj}.
        "You may have {x.the}," {A:say} {A.name}, and {B.name} {B:take} {x.it}.
        "This is for you," {A:say} {A.name} and {A:give} {B.obj} {x.the}.
        {B} {B:get} {x} from {A.obj}.
        {A.poss} present for {B.obj} {:be} {x.the}.
    """,
    "give_back": """
        {A} {A:give} {x} back to {B.obj}.
        {A} {A:give} {B.obj} {x.the} back.
        {A} {A:bring} {x} back to {B.obj}.
        {A} {A:hand} {x} back to {B.obj}.
        {A} {A:return} {x} to {B.obj}.
        "Here {x:be!} {x.the} again," {A:say} {A.name} and {A:give} {x.it} back to {B.obj}.
        {B} {B:get} {x} back from {A.obj}.
    """,
    "trade": """
        {A.name} {A:give} {x.the} to {B.name} and {A:get} {y.the}.
        {A.name} and {B.name} {+:trade}: {x.the} for {y.the}.
        {A.name} {A:swap} {x.the} for {B.poss} {y.noun}.
        {A.name} {A:take} {y.the}, and {B.name} {B:take} {x.the}.
        "Let us swap," {A:say} {A.name}, and so {B.name} {B:get} {x.the} for {y.the}.
    """,
    "lose": """
        {A} {A:lose} {x}.
        On the way, {A} {A:lose} {x}.
        {A} {A:look} into {A.his} bag, but {x.the} {x:be} gone.
        Oh no, {A} {A:have} lost {x.the}.
        {x.sub} {x:fall} out of {A.poss} bag, and nobody {:see} where.
        {A} {A:drop} {x.the} somewhere and {A:do} not see where.
    """,
    "find": """
        {A} {A:find} {x} {s}.
        {A} {A:look} {s}, and there {x:be} {x.the}, so {A.he} {A:pick} {x.it} up.
        At last, {A} {A:find} {x} {s}.
        {A} {A:look} and {A:look}, and {A:find} {x} {s}.
        {s}, {A} {A:find} {x.the}.
        {A} {A:be} lucky: {x.the} {x:be} {s}, and {A.he} {A:take} {x.it}.
    """,
    "see": """
        {A} {A:see} {x} {s}.
        {A} {A:spot} {x} {s}.
        {A} {A:notice} {x} {s}.
        {A} {A:point} at {x.the} {s}.
        {A} {A:look} at {x} {s}.
    """,
    "miss": """
        {A} {A:look} for {x} {P.in}, but {x.they} {x:be} not there.
        {A} {A:search} for {x} {P.in}, but {x.they} {x:be} not there.
        {A} {A:look} everywhere {P.in}, but {A.he} {A:do} not find {x.the}.
        {A} {A:want} to take {x.the}, but {x.they} {x:be} not {P.in}.
        {A} {A:try} to find {x} {P.in}, but {x.they} {x:be} not there.
        {A} {A:look} for {x} {P.in}, but without luck.
    """,
    "show": """
        {A} {A:show} {B.obj} {x.the}.
        {A} {A:show} {x} to {B.obj}.
        "Look at {x.the}," {A:say} {A.name} to {B.obj}.
        {A} {A:let} {B.obj} look at {x}.
        {A} {A:hold} up {x.the}, and {B.name} {B:look} at {x.it}.
    """,
    "play_with": """
        {A} {A:play} with {x}.
        {A} {A:have} a lot of fun with {x}.
        {A} {A:make} up a game with {x.the}.
        {A} {A:look} at {x} for a long time.
        {A} {A:talk} about {x} for a while.
        {A} {A:clean} {x} until {x.they} {x:shine}.
    """,
    "like": """
        {A} {A:like} {x} very much.
        {A} {A:love} {x}.
        {A} {A:think} about {x} all the time.
        {A} {A:like} {x} more than anything.
        {A} {A:draw} a picture of {x}.
        {A} {A:know} all about {x.the}.
    """,
    "want": """
        {A} {A:want} {x}.
        {A} {A:want} to have {x}.
        {A} {A:need} {x}.
        {A} {A:wish} for {x.the}.
        {A} would like to have {x}.
    """,
    "new_count": """
        {A} {A:have} {n.k} with {A.him}.
        {A} {A:bring} {n.k}.
        {A} {A:come} with {n.k}.
        {A} {A:have} {n.k} in {A.his} pocket.
        At first, {A} {A:have} {n.k}.
        {A} {A:have} {n.k} in a small basket.
        {A} {A:carry} {n.k} in a paper bag.
    """,
    "counts": """
        {A} {A:have} {n.k}.
        {A} {A:count} {A.his} {k}: {n}.
        {A} {A:end} up with {n.k}.
        In {A.his} bag, {A} {A:have} {n.k}.
        {A} {A:look} into {A.his} bag and {A:see} {n.k}.
        "I have {n.k}," {A:say} {A.name}.
        Altogether, {A.name} {A:have} {n.k}.
    """,
    "left": """
        {A} {A:have} {n.k} left.
        {A} {A:have} only {n.k} left.
        That {:leave} {A.obj} with {n.k}.
        {A} still {A:have} {n.k}.
        "I have {n.k} left," {A:say} {A.name}.
    """,
    "still_counts": """
        {A} still {A:have} {n.k}.
        Meanwhile, {A.name} {A:have} {n.k}.
        {A} {A:keep} {A.his} {k} in {A.his} bag, all {n}.
    """,
    "more": """
        {A} {A:have} more {k} than {B.name}.
        {B} {B:have} fewer {k} than {A.name}.
    """,
    "same": """
        {A} {A:have} as many {k} as {B.name}.
        {A.name} and {B.name} {+:have} the same number of {k}.
    """,
    "sum_up": """
        Together, {A.name} {A:have} {n.k}.
        In all, {A.name} {A:have} {n.k}.
        {A.name} {A:put} {A.his} {k} together and {A:count} {n}.
    """,
    "give_some": """
        {A} {A:give} {B.obj} {n.k}.
        {A} {A:give} {n.k} to {B.obj}.
        {A} {A:hand} {n.k} to {B.obj}.
        {A} {A:share} {A.his} {k} and {A:give} {n} to {B.obj}.
        {A} {A:let} {B.obj} have {n.k}.
        {A} {A:give} {B.obj} {n}.
        {B} {B:get} {n.k} from {A.obj}.
        "Take {n.k}," {A:say} {A.name}, and {B.name} {B:do}.
    """,
    "eat": """
        {A} {A:eat} {n.k}.
        {A} {A:eat} {n}.
        {A} {A:be} hungry and {A:eat} {n.k}.
        {A} {A:sit} down and {A:eat} {n.k}.
        {A} {A:eat} {n.k} and {A:smile}.
        {A} {A:taste} the {k} and {A:eat} {n}.
        {A} {A:give} {n.k} to a bird.
        {A} {A:feed} {n.k} to a hungry goat.
    """,
    "lose_some": """
        {A} {A:lose} {n.k}.
        {A} {A:drop} {n.k} on the way and {A:do} not find {n.them} again.
        {n.k} {n:fall} out of {A.poss} bag.
        {A} {A:leave} {n.k} behind for the birds.
    """,
    "find_some": """
        {A} {A:find} {n.k}.
        {A} {A:find} {n} more.
        {A} {A:find} {n.k} and {A:put} {n.them} in {A.his} bag.
        {A} {A:get} {n.k} from a kind neighbor.
        {A} {A:get} {n.k} from an old woman.
        A farmer {:give} {A.obj} {n.k}.
        {A} {A:look} around and {A:pick} up {n.k}.
    """,
    "ask_where": """
        "Where {x:be!} {x.the}?" {A:ask} {A.name}.
        {A} {A:ask}, "Where {x:be!} {x.the}?"
        {A} {A:ask} where {x.the} {x:be}.
        "Has anybody seen {x.the}?" {A:ask} {A.name}.
        "I am looking for {x.the}," {A:say} {A.name}.
        {A} {A:wonder} where {x.the} {x:be}.
        "Who has {x.the}?" {A:ask} {A.name}.
    """,
    "ask_person": """
        "Where is {B.name}?" {A:ask} {A.name}.
        {A} {A:ask} where {B.name} {B:be}.
        {A} {A:wonder} where {B.name} {B:be}.
        {A} {A:ask}, "Has anybody seen {B.name}?"
    """,
    "tell": """
        "{x.The} {x:be!} {P.in}," {A:say} {A.name}.
        {A} {A:say}, "{x.The} {x:be!} {P.in}."
        {A} {A:say} that {x.the} {x:be} {P.in}.
        "I saw {x.the} {P.in}," {A:say} {A.name}.
        {A} {A:know} that {x.the} {x:be} {P.in}.
        {A} {A:answer}, "{x.The} {x:be!} {P.in}."
        {A} {A:answer} that {x.the} {x:be} {P.in}.
    """,
    "tell_person": """
        "{B.name} is {P.in}," {A:say} {A.name}.
        {A} {A:say} that {B.name} {B:be} {P.in}.
        {A} {A:answer}, "{B.name} is {P.in}."
        {A} {A:know} that {B.name} {B:be} {P.in}.
    """,
    "tell_holder": """
        "{B.name} has {x.the}," {A:say} {A.name}.
        {A} {A:say} that {B.name} {B:have} {x.the}.
        {A} {A:answer}, "{B.name} has {x.the}."
        {A} {A:know} that {B.name} {B:have} {x.the}.
    """,
    "tell_mine": """
        "I have {x.the}," {A:say} {A.name}.
        {A} {A:say}, "I have {x.the}."
        {A} {A:say} that {A.he} {A:have} {x.the}.
        {A} {A:answer}, "{x.The} {x:be!} in my bag."
    """,
    "wonder": """
        {A} {A:do} not know where {x.the} {x:be}.
        "I do not know where {x.the} {x:be!}," {A:say} {A.name}.
        {A} {A:shake} {A.his} head, because {A.he} {A:do} not know where {x.the} {x:be}.
        {A} {A:have} no idea where {x.the} {x:be}.
    """,
    "believe": """
        {A} {A:think} that {x.the} {x:be} {P.in}, but {x.they} {x:be} not there.
        {A} still {A:think} that {x.the} {x:be} {P.in}.
        {A} {A:believe} that {x.the} {x:be} still {P.in}.
        "{x.The} must be {P.in}," {A:think} {A.name}, but {A.he} {A:be} wrong.
        Nobody {:have} told {A.obj}, so {A.he} still {A:think} that {x.the} {x:be} {P.in}.
    """,
    "ask_for": """
        "May I have {x.the}?" {A:ask} {A.name}, and {B.name} {B:think} about it.
        {A} {A:ask} {B.obj} for {x.the}.
        "Please give me {x.the}," {A:say} {A.name} to {B.obj}.
        {A} {A:ask} {B.obj}, "May I have {x.the}?"
        "Can I have {x.the} now?" {A:ask} {A.name} and {A:look} at {B.obj}.
    """,
    "ask_some": """
        "May I have {n.k}?" {A:ask} {A.name} and {A:look} at {B.obj}.
        {A} {A:ask} {B.obj} for {n.k}.
        "Please give me {n.k}," {A:say} {A.name} to {B.obj}.
    """,
    "send": """
        "Please get {x.the} from {P}," {A:say} {A.name} to {B.obj}.
        {A} {A:ask} {B.obj} to get {x.the} from {P}.
        "Can you bring me {x.the} from {P}?" {A:ask} {A.name}, and {B.name} {B:nod}.
    """,
    "invite": """
        "Let us go {P.to}," {A:say} {A.name} to {B.obj}.
        {A} {A:ask} {B.obj} to come {P.to}.
        "Do you want to go {P.to}?" {A:ask} {A.name} and {A:look} at {B.obj}.
        {A} and {B.name} {+:talk} about {P}.
    """,
    "yes": """
        {A} {A:say} yes.
        {A} {A:nod}.
        "Of course," {A:say} {A.name}.
        "Yes," {A:say} {A.name} and {A:smile}.
        "Yes, with pleasure," {A:say} {A.name}.
        {A} {A:do} not mind at all.
    """,
    "no": """
        {A} {A:say} no.
        {A} {A:shake} {A.his} head.
        "Not now," {A:say} {A.name}.
        "No, I am sorry," {A:say} {A.name}.
        "Maybe later," {A:say} {A.name}.
    """,
    "thank": """
        {A} {A:thank} {B.obj}.
        "Thank you," {A:say} {A.name} to {B.obj}.
        {A} {A:hug} {B.obj}.
        "You are a good friend," {A:say} {A.name} to {B.obj}.
        {A} {A:smile} at {B.obj} and {A:say} thank you.
        "How kind of you!" {A:say} {A.name} to {B.obj}.
    """,
    "greet": """
        {A} {A:wave} to {B.obj}.
        "Hello," {A:say} {A.name} to {B.obj}.
        {A} {A:smile} at {B.obj}.
        "Good to see you," {A:say} {A.name} to {B.obj}.
        {A} {A:tell} {B.obj} a funny story.
        {A} {A:whisper} something to {B.obj}.
        {A} {A:ask} {B.obj} a riddle.
        {A} {A:bow} to {B.obj} like an actor.
        {A} {A:tap} {B.obj} on the shoulder.
    """,
    "feel": """
        {A} {A:be} {m}.
        {A} {A:feel} {m}.
        {A} {A:be} very {m}.
        {A} {A:look} {m}.
        {A} {A:be} a little {m}.
        {A} {A:feel} quite {m}.
    """,
    "feel_lost": """
        {A} {A:be} {m}, because {x.the} {x:be} lost.
        {A} {A:feel} {m} without {x.the}.
        {A} {A:look} {m}, because {x.the} {x:be} gone.
    """,
    "feel_have": """
        {A} {A:be} {m}, because {A.he} {A:have} {x.the}.
        {A} {A:feel} {m} with {x.the} in {A.his} hands.
        {A} {A:look} at {x.the} in {A.his} hands and {A:feel} {m}.
        {A} {A:be} {m} to have {x}.
    """,
    "act": """
        {A} {A:hum} a song.
        {A} {A:sit} down for a moment.
        {A} {A:look} at the clouds.
        {A} {A:laugh}.
        {A} {A:yawn}.
        {A} {A:drink} some water.
        {A} {A:sing} an old song.
        {A} {A:dance} a little.
        {A} {A:take} a deep breath.
        {A} {A:close} {A.his} eyes for a moment.
        {A} {A:listen} to the birds.
        {A} {A:whistle} quietly.
        {A} {A:smile}.
        {A} {A:jump} up and down.
        {A} {A:rub} {A.his} hands.
        {A} {A:sneeze} loudly.
        {A} {A:tie} {A.his} shoes.
        {A} {A:think} about dinner.
        {A} {A:rest} for a while.
        {A} {A:stretch} {A.his} arms.
        {A} {A:draw} a circle on the ground.
        {A} {A:have} a good idea.
        {A} {A:clap} {A.his} hands.
        {A} {A:read} a few pages.
        {A} {A:do} not say a word.
        {A} {A:dream} of the sea.
        {A} {A:remember} a poem from school.
        {A} {A:eat} a slice of cheese.
        {A} {A:watch} a ladybug.
        {A} {A:pet} a kitten.
        {A} {A:balance} on one foot.
        {A} {A:imagine} a castle with a dragon.
        {A} {A:practice} a magic trick.
        {A} {A:count} to twenty.
        {A} {A:learn} a new word.
        {A} {A:pretend} to be a pirate.
        {A} {A:sigh} softly.
        {A} {A:blow} soap bubbles.
        {A} {A:write} a line in a diary.
        {A} {A:chew} on a piece of bread.
        {A} {A:giggle}.
        {A} {A:wash} {A.his} hands.
        {A} {A:try} to stand very still.
        "What a day!" {A:say} {A.name}.
        "This is fun," {A:say} {A.name}.
        "I am ready," {A:say} {A.name}.
    """,
    "together_act": """
        {A.name} and {B.name} {+:laugh} together.
        {A.name} and {B.name} {+:play} a game.
        {A.name} and {B.name} {+:sing} a song.
        {A.name} and {B.name} {+:talk} for a while.
        {A.name} {A:tell} {B.name} a joke, and both {+:laugh}.
        {A.name} {A:be} faster than {B.name}, but not by much.
        {A.name} and {B.name} {+:be} good friends.
        {A} {A:sit} down next to {B.obj}.
        {A} {A:have} a long talk with {B.obj}.
        {A} {A:teach} {B.obj} a new game.
    """,
    "scene": """
        A little bird {:sing}.
        A dog {:bark} somewhere.
        A cat {:sleep} nearby.
        Everything {:be} quiet.
        It {:smell} of fresh bread.
        A bee {:fly} by.
        Far away, a bell {:ring}.
        Two ducks {+:swim} past.
        A mouse {:run} by.
        Somewhere, a baby {:laugh}.
        The cat {:want} some milk.
        A yellow butterfly {:fly} past.
        The clouds {+:look} like sheep.
        Somebody {:play} the piano.
        A squirrel {:climb} up and down.
        A spider {:spin} its web.
        Two rabbits {+:hop} through the grass.
        An old man {:greet} everybody.
        Smoke {:rise} from a chimney.
        Someone {:bake} a cake with honey.
        A train {:whistle} in the distance.
        The air {:be} fresh and cool.
        A rooster {:crow}.
        A little boat {:float} by.
        The mail carrier {:ride} past on a bicycle.
        A horse {:trot} down the road.
        Tiny ants {+:march} in a long line.
        An owl {:blink} with one eye.
        The shadows {+:grow} longer.
        Someone {:paint} a door in bright colors.
        A snail {:cross} the road, and it {:take} its time.
        A frog {:jump} into the water.
        The minutes {+:go} by.
        Nobody {:say} anything for a while.
    """,
    "sun": """
        The sun {:shine}.
        It {:be} a sunny day.
        It {:be} warm, and the sky {:be} clear.
        The sky {:be} bright.
        It {:be} hot.
        There {:be} not a single cloud.
        It {:be} a golden summer day.
    """,
    "rain": """
        It {:rain}.
        It {:be} a rainy day.
        The rain {:tap} on the roof.
        There {+:be} dark clouds and a lot of rain.
        The street {:be} wet from the rain.
    """,
    "snow": """
        It {:snow}.
        It {:be} a cold winter day.
        The snow {:be} deep and soft.
        There {:be} snow on all the roofs.
    """,
    "wind": """
        The wind {:blow}.
        It {:be} a windy day.
        The wind {:blow} through the trees.
        The leaves {+:dance} in the wind.
        It {:be} a stormy autumn day.
    """,
    "day_is": """
        It {:be} {d}.
        It {:be} a quiet {d}.
        It {:be} {d} again.
        It {:be} a long {d}.
    """,
    "end": """
        Then it {:be} time to go home.
        It {:be} a good day.
        It {:be} a day to remember.
        In the evening, everybody {:be} tired.
        The sun {:go} down, and the stars {+:come} out.
        And that {:be} the end of the day.
        Soon it {:be} dark, and the moon {:shine}.
        What a strange day it {:be}!
        Everybody {:have} something to tell at dinner.
        It {:be} late, and the lamps {+:go} on in the houses.
        And tomorrow {:be} another day.
        Nobody {:want} to go home.
        And so the story {:end}.
        At night, everybody {:sleep} well.
        Supper {:be} soup with noodles, and it {:taste} wonderful.
        The adventure {:be} over.
        Mother {:call} from the window, and everybody {:hurry} home.
    """,
}

FACTS = ("holds", "lies", "lies_on", "counts", "be_at", "meet")
TELLS = {  # the same fact in other words, for the first time or once more
    "first_at": "be_at", "is_at": "be_at", "still_at": "be_at",
    "left": "counts", "still_counts": "counts", "still_holds": "holds",
    "still_lies": "lies", "still_lies_on": "lies_on",
}  # fmt: skip
LINKS = (  # before an event, where its sentence does not begin with a quote
    "Then", "Soon,", "After that,", "Later,", "A little later,", "Next,",
    "After a while,",
)  # fmt: skip
LINKED = (  # the events that they go with
    "go", "leave", "follow", "carry", "take", "take_off", "put",
    "leave_thing", "give", "give_back", "lose", "give_some", "eat",
    "lose_some", "find_some", "ask_where", "miss", "ask_for", "show",
    "play_with",
)  # fmt: skip

# An episode is a list of events. A, B, C are people, P, Q, R places, and so
# on, each drawn until all events can happen; @A is where A is then, @x where
# the thing is. `?` marks an event that is left out half of the time, and `/`
# separates events of which one happens.
EPISODES = {
    "gift": """
        ? like A x
        give A B x
        thank B A / feel_have B good x
        ? play_with B x
    """,
    "ask and get": """
        want A x
        ask_for A B x
        ? yes B
        give B A x
        thank A B
    """,
    "ask in vain": """
        ask_for A B x
        no B
        feel A bad
        ? go A P
    """,
    "borrow": """
        ask_for A B x
        give B A x
        play_with A x
        give_back A B x
        thank A B / holds B x
    """,
    "borrow and go": """
        give A B x
        carry B x P
        play_with B x
        follow B A @A
        give_back B A x
    """,
    "fetch": """
        send A B x @x
        go B @x
        take B x / take_off B x s
        follow B A @A
        give B A x
        ? thank A B
    """,
    "bring": """
        go A @x
        take A x / take_off A x s
        carry A x P
        ? put A x s
    """,
    "put away": """
        carry A x P
        put A x s
        ? lies x P
    """,
    "put and leave": """
        put A x s
        go A P
        take B x / take_off B x s
        ? holds B x
    """,
    "moved": """
        put A x s
        leave A @A P
        take B x
        carry B x Q
        put B x t
        believe A x R
    """,
    "moved and missed": """
        put A x s
        go A P
        take B x / take_off B x s
        carry B x Q
        go A R
        miss A x R
        ask_where A x
    """,
    "search": """
        go A P
        miss A x P
        go A @x
        take_off A x s / find A x s
        feel_have A good x
    """,
    "ask the way": """
        near A B
        ask_where A x
        wonder B x / tell B x @x
        go A @x
        take A x / take_off A x s
    """,
    "who has it": """
        near A B
        ask_where A x
        tell_holder B C x
        follow A C @C
        ask_for A C x
        give C A x
    """,
    "I have it": """
        near A B
        ask_where A x
        tell_mine B x
        ask_for A B x
        give B A x / no B
    """,
    "lost and found": """
        lose A x
        feel_lost A bad x
        go A P
        find A x s
        feel_have A good x
    """,
    "lost and found by a friend": """
        near A B
        lose A x
        ask_where A x
        ? wonder B x
        go B P
        find B x s
        follow B A @A
        give_back B A x
        thank A B
    """,
    "lost for good": """
        go A P
        lose A x
        miss A x P
        feel_lost A bad x
    """,
    "forgotten": """
        leave_thing A x @A
        go A P
        ask_where A x / miss A x P
        go A @x
        take A x / find A x s
    """,
    "trade": """
        meet A B @A / greet A B
        trade A B x y
        feel A good
    """,
    "trade and back": """
        trade A B x y
        holds A y / holds B x
        trade A B y x
    """,
    "show": """
        follow A B @B
        show A B x
        like B x
        ? ask_for B A x
    """,
    "pass on": """
        give A B x
        follow B C @C
        give B C x
        ? thank C B
    """,
    "find a thing": """
        go A P
        new_find A x s
        feel_have A good x
    """,
    "find a thing and show": """
        new_find A x s
        follow A B @B
        show A B x
        ? give A B x
    """,
    "hide": """
        put A x s
        go A P
        ask_where B x
        see B x s / take_off B x s
    """,
    "visit": """
        follow A B @B
        greet A B
        together_act A B
    """,
    "walk": """
        invite A B P
        yes B
        go A+B P
        ? play_with A+B x
    """,
    "walk together": """
        go A+B P
        act A+B
        feel A+B good
    """,
    "looking for a friend": """
        near A C
        ask_person A B
        tell_person C B @B
        follow A B @B
        ? meet A B @A
    """,
    "alone": """
        go A P
        alone A P
        feel A other
        ? act A
    """,
    "play": """
        play_with A+B x
        together_act A B
        ? holds A x / lies x @x
    """,
    "wander": """
        leave A @A P
        act A
        ? leave A @A Q
    """,
    "share": """
        ask_some A B n k / act A
        give_some B A n k
        counts B m k
        ? counts A i k
        thank A B
    """,
    "give some": """
        give_some A B n k
        counts A m k
        ? counts B i k
    """,
    "eat": """
        eat A n k
        counts A m k
        ? feel A good
    """,
    "eat and share": """
        eat A n k
        give_some A B m k
        counts A i k / counts B m k
    """,
    "find some": """
        go A P
        find_some A n k
        counts A m k
    """,
    "lose some": """
        go A P
        lose_some A n k
        counts A m k
        feel A bad
    """,
    "count": """
        counts A n k
        counts B m k
        more A B k / same A B k
        ? sum_up A+B i k
    """,
    "sum": """
        give_some A B n k
        sum_up A+B m k
    """,
    "give and find": """
        give_some A B n k
        go A P
        find_some A m k
        counts A i k
    """,
}
