"""The words of the little world: names, things, places and how they inflect."""

GIRLS = (
    "Mia Zoe Anna Lily Ella Ruby Nora Emma Ivy Rosa Lucy Clara Maya Alice "
    "Grace Hana Julia Nina Kate Sara Tess Vera Wendy Amy"
).split()
BOYS = (
    "Tom Sam Ben Max Leo Jack Noah Omar Paul Hugo Finn Oscar Adam Carl David "
    "Eric Felix Henry Ian Jonas Kevin Luke Peter Theo"
).split()
NAMES = GIRLS + BOYS

SINGLE = (  # one thing that a person can carry, in any color
    "lamp kite ball book drum cup basket hat bucket bell blanket boat candle "
    "clock coat doll flag flute guitar key lantern letter map mirror mug "
    "umbrella apron pen pillow plate purse radio ribbon ring rope scarf shovel "
    "spoon stamp sweater teapot towel truck trumpet vase watch whistle robot "
    "puppet puzzle camera envelope notebook brush bottle jar ladder tray comb "
    "violin"
).split()
PAIRS = (  # one thing whose name is plural
    "shoes boots mittens gloves glasses scissors skates socks crayons slippers "
    "sandals pajamas"
).split()
THINGS = SINGLE + PAIRS

FOOD = {  # one: many
    "apple": "apples", "cookie": "cookies", "pear": "pears", "plum": "plums",
    "carrot": "carrots", "berry": "berries", "nut": "nuts",
    "muffin": "muffins", "peach": "peaches", "cherry": "cherries",
    "pancake": "pancakes", "sandwich": "sandwiches", "grape": "grapes",
    "potato": "potatoes", "tomato": "tomatoes", "cracker": "crackers",
}  # fmt: skip
TREASURE = {
    "shell": "shells", "marble": "marbles", "button": "buttons",
    "acorn": "acorns", "stone": "stones", "feather": "feathers",
    "leaf": "leaves", "coin": "coins", "sticker": "stickers", "bead": "beads",
    "flower": "flowers", "stick": "sticks", "balloon": "balloons",
    "ticket": "tickets", "pebble": "pebbles",
}  # fmt: skip
KINDS = FOOD | TREASURE
KIND_OF = {many: one for one, many in KINDS.items()} | {k: k for k in KINDS}

INDOORS = {  # place: its preposition
    "kitchen": "in", "bedroom": "in", "attic": "in", "cellar": "in",
    "hall": "in", "library": "in", "classroom": "in", "shop": "in",
    "bakery": "in", "barn": "in", "museum": "in", "station": "at",
    "garage": "in", "workshop": "in", "greenhouse": "in",
}  # fmt: skip
OUTDOORS = {
    "garden": "in", "park": "in", "yard": "in", "beach": "at",
    "forest": "in", "field": "in", "playground": "on", "market": "at",
    "lake": "by", "river": "by", "bridge": "on", "hill": "on", "pond": "by",
    "orchard": "in", "farm": "on", "harbor": "at", "meadow": "in",
}  # fmt: skip
PLACES = INDOORS | OUTDOORS

SPOTS_INDOORS = (
    "on the table", "under the table", "on the shelf", "under the chair",
    "behind the door", "in the box", "next to the window", "in the drawer",
    "on the floor", "on the chair", "in the corner", "behind the curtain",
)  # fmt: skip
SPOTS_OUTDOORS = (
    "under the tree", "on the bench", "behind the bush", "next to the gate",
    "on the grass", "under the bench", "behind the rock", "on the wall",
    "on the path", "behind the fence", "in the mud", "in the sand",
)  # fmt: skip
SPOTS = SPOTS_INDOORS + SPOTS_OUTDOORS

COLORS = "red blue green yellow orange purple pink white black brown".split()
LOOKS = COLORS + "old new big little shiny pretty".split()

GOOD = "happy glad proud cheerful excited pleased".split()
BAD = "sad worried angry upset lonely nervous".split()
OTHER = "tired hungry sleepy curious surprised bored calm thirsty".split()
MOODS = GOOD + BAD + OTHER

DAYS = ("Monday Tuesday Wednesday Thursday Friday Saturday Sunday").split()
NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
).split()

IRREGULAR = {  # verb: (with he, she or it, in the past)
    "be": ("is", "was"), "have": ("has", "had"), "do": ("does", "did"),
    "go": ("goes", "went"), "come": ("comes", "came"),
    "run": ("runs", "ran"), "take": ("takes", "took"),
    "give": ("gives", "gave"), "put": ("puts", "put"),
    "find": ("finds", "found"), "lose": ("loses", "lost"),
    "leave": ("leaves", "left"), "see": ("sees", "saw"),
    "say": ("says", "said"), "tell": ("tells", "told"),
    "know": ("knows", "knew"), "think": ("thinks", "thought"),
    "feel": ("feels", "felt"), "eat": ("eats", "ate"),
    "hold": ("holds", "held"), "bring": ("brings", "brought"),
    "get": ("gets", "got"), "sit": ("sits", "sat"),
    "stand": ("stands", "stood"), "sing": ("sings", "sang"),
    "shine": ("shines", "shone"), "blow": ("blows", "blew"),
    "fall": ("falls", "fell"), "hide": ("hides", "hid"),
    "keep": ("keeps", "kept"), "let": ("lets", "let"),
    "make": ("makes", "made"), "meet": ("meets", "met"),
    "set": ("sets", "set"),
    "hear": ("hears", "heard"), "lend": ("lends", "lent"),
    "ride": ("rides", "rode"), "sleep": ("sleeps", "slept"),
    "fly": ("flies", "flew"), "hurry": ("hurries", "hurried"),
    "carry": ("carries", "carried"), "lie": ("lies", "lay"),
    "swap": ("swaps", "swapped"),
    "hug": ("hugs", "hugged"), "nod": ("nods", "nodded"),
    "drop": ("drops", "dropped"),
    "hum": ("hums", "hummed"),
    "wave": ("waves", "waved"),
    "spot": ("spots", "spotted"), "trip": ("trips", "tripped"),
    "skip": ("skips", "skipped"), "draw": ("draws", "drew"),
    "shake": ("shakes", "shook"),
    "smell": ("smells", "smelled"), "drink": ("drinks", "drank"),
    "try": ("tries", "tried"),
    "clap": ("claps", "clapped"), "tap": ("taps", "tapped"),
    "grab": ("grabs", "grabbed"),
    "feed": ("feeds", "fed"), "lay": ("lays", "laid"),
    "rub": ("rubs", "rubbed"), "spin": ("spins", "spun"), "rise": ("rises", "rose"),
    "hop": ("hops", "hopped"), "trot": ("trots", "trotted"),
    "grow": ("grows", "grew"), "pet": ("pets", "petted"),
    "write": ("writes", "wrote"), "teach": ("teaches", "taught"),
    "ring": ("rings", "rang"),
    "read": ("reads", "read"), "swim": ("swims", "swam"),
    "forget": ("forgets", "forgot"),
}  # fmt: skip


def inflect(verb: str, tense: str, plural: bool) -> str:
    """go, past, singular -> went; go, present, plural -> go."""
    if verb == "be" and plural:
        return "were" if tense == "past" else "are"
    third, past = IRREGULAR.get(verb) or regular(verb)
    if tense == "past":
        return past
    return verb if plural else third


def regular(verb: str) -> tuple[str, str]:
    """Verb -> its form with he, she or it, and its past."""
    third = verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "o")) else "s")
    return third, verb + ("d" if verb.endswith("e") else "ed")


def article(words: str) -> str:
    """a or an."""
    return "an" if words[0] in "aeiou" else "a"
