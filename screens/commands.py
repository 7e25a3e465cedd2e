"""The registry of commands: key, title, help and scope. It feeds the keys, the footer, the palette and the help.

A command's id is `SCOPE.NAME`; the scope is a screen's, or `app` (everywhere) or `lists` (in every list). A user's
configs/keymap.yaml remaps keys by these ids.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType

FOOTER_AT_MOST = 7


@dataclass(frozen=True)
class Command:
    """One thing a person can do."""

    id: str
    """`SCOPE.NAME`; never changed once released, keymaps refer to it."""
    keys: str
    """Textual's names of keys, separated by commas; empty: in the palette only."""
    title: str
    """Two words at most where it is in the footer."""
    help: str
    """One sentence, shown in the palette and the help."""
    action: str = ""
    """Textual's action; default: the NAME of the id with underscores."""
    footer: bool = False
    """Whether the footer shows it."""

    @property
    def scope(self) -> str:
        return self.id.partition(".")[0]

    @property
    def does(self) -> str:
        """The action to run on the node of the scope."""
        return self.action or self.id.partition(".")[2].replace("-", "_")


APP = (
    Command("app.home", "1", "Home", "The state of the workspace and the next sensible step.", "show('home')"),
    Command("app.pairs", "2", "Pairs", "Curate the pairs that a run learns from.", "show('pairs')"),
    Command("app.training", "3", "Training", "Train adapters and watch runs.", "show('training')"),
    Command("app.library", "4", "Library", "Index documents and search them.", "show('library')"),
    Command("app.chat", "5", "Chat", "Talk to a hybrid.", "show('chat')"),
    Command("app.compare", "6", "Compare", "Measure what retrieval and tuning bring.", "show('compare')"),
    Command("app.help", "f1,question_mark", "Help", "Every key of this screen.", footer=True),
    Command("app.palette", "ctrl+p", "Palette", "Find any command by name.", "command_palette", footer=True),
    Command("app.theme", "", "Change the theme", "Light, dark or the terminal's; it is remembered.", "change_theme"),
    Command("app.screenshot", "", "Save a picture of the screen", "An SVG file in the workspace.", "picture"),
    Command("app.quit", "ctrl+q", "Quit", "Leave; running jobs go on.", footer=True),
)

LISTS = (
    Command("lists.down", "j", "Down", "The next row.", "cursor_down"),
    Command("lists.up", "k", "Up", "The row before.", "cursor_up"),
    Command("lists.first", "g", "First", "The first row.", "first_row"),
    Command("lists.last", "G", "Last", "The last row.", "last_row"),
    Command("lists.half-down", "ctrl+d", "Page down", "A page down.", "page_down"),
    Command("lists.half-up", "ctrl+u", "Page up", "A page up.", "page_up"),
)

HOME = (
    Command("home.step", "enter", "Next step", "Do what the first line suggests.", footer=True),
    Command("home.fetch", "f", "Fetch models", "Download the weights that are missing.", footer=True),
    Command("home.refresh", "r", "Refresh", "Read the workspace again."),
)

TRAINING = (
    Command("training.new", "n", "New run", "Choose a recipe, edit its fields, start a run.", footer=True),
    Command("training.stop", "s", "Stop", "Ask the run to save and stop; it can be resumed.", footer=True),
    Command("training.resume", "r", "Resume", "Go on from the last checkpoint.", footer=True),
    Command("training.view", "v", "Next view", "Curves, samples, log, recipe in turn.", footer=True),
    Command("training.search", "slash", "Search", "List runs by name, recipe, dataset, base, method, or tag:NAME."),
    Command("training.filter", "f", "Filter", "List all runs, the running, done, stopped, failed ones in turn."),
    Command("training.mark", "space", "Mark", "Mark this run, or take its mark away."),
    Command("training.mark-all", "a", "Mark all", "Mark every run that is listed, or take all marks away."),
    Command("training.compare", "D", "Compare", "Set the marked runs side by side, or the marked one and this one."),
    Command("training.tags", "T", "Tags", "Change the tags of the marked runs, else of this one."),
    Command("training.clone", "e", "Clone", "Fill in the form of a new run with this run's recipe."),
    Command("training.delete", "x", "Delete", "Remove the marked runs, else this one, for good."),
    Command("training.export", "E", "Export", "Write the adapter, the merged model or a GGUF of the run to files."),
    Command("training.queue", "q", "Queue", "See what waits for its turn, and change the order."),
    Command("training.grid", "ctrl+g", "Grid", "One run for each combination of a few values of a recipe's fields."),
    Command("training.leave-search", "escape", "Leave", "The search, the marks, the filter: one by one.", "leave"),
    # Steering the run that is shown, and its curves.
    Command("training.pause", "p", "Pause", "Let the run wait after its step, or go on; it keeps its memory."),
    Command("training.save-now", "S", "Save now", "Write a checkpoint after the step it is at."),
    Command("training.learning-rate", "L", "Learning rate", "Change the learning rate while the run goes on."),
    Command("training.next-chart", "c", "Next chart", "Loss, learning rate, gradient, speed, memory, load in turn."),
    Command("training.turn-log", "y", "Log or linear", "The y axis by its logarithm, and back."),
    Command("training.turn-time", "t", "Steps or time", "The x axis by steps, or by the time that the run took."),
    Command("training.smooth", "m", "Smoothing", "Smooth the curves more; after the most, not at all."),
    Command("training.overlay", "o", "Other runs", "Lay the curves of other runs over this one's."),
    Command("training.zoom-in", "plus", "Closer", "Half as much of the curves.", "zoom(1)"),
    Command("training.zoom-out", "minus", "Further", "Twice as much of the curves.", "zoom(-1)"),
    Command("training.zoom-all", "0", "Whole run", "The curves from the first step to the newest.", "zoom(0)"),
    Command("training.pan-left", "left_square_bracket", "Before", "Earlier steps of the curves.", "pan(-0.25)"),
    Command("training.pan-right", "right_square_bracket", "After", "Later steps of the curves.", "pan(0.25)"),
)

PAIRS = (
    Command("pairs.accept", "a", "Accept", "These are learned: the marked pairs, else this one.", footer=True),
    Command("pairs.reject", "r", "Reject", "They stay in the dataset, and are not learned.", footer=True),
    Command("pairs.pending", "p", "Pending", "Decide about them later."),
    Command("pairs.skip", "s", "Skip", "Go on; they stay as they are, and N passes them by in this sitting."),
    Command("pairs.next-of-kind", "N", "Next of kind", "The next pending pair with the same flags, else of the list."),
    Command(
        "pairs.repeat", "full_stop", "Repeat", "Make the last change again, of the marked pairs, else of this one."
    ),
    Command("pairs.edit", "e", "Edit", "Change the texts of the pair.", footer=True),
    Command("pairs.edit-outside", "E", "Edit outside", "Change them in your own editor: $VISUAL, else $EDITOR."),
    Command("pairs.tags", "t", "Tags", "Replace, add or take away tags of the marked pairs, else of this one."),
    Command("pairs.note", "n", "Note", "Write a note on the marked pairs, else on this one."),
    Command("pairs.delete", "x", "Delete", "Take pairs out of the dataset; undo brings them back."),
    Command(
        "pairs.mark", "space", "Mark", "Mark this pair, or take its mark away; what follows is done to all marked."
    ),
    Command("pairs.mark-down", "shift+down", "Mark down", "Mark from here downwards.", "mark_by(1)"),
    Command("pairs.mark-up", "shift+up", "Mark up", "Mark from here upwards.", "mark_by(-1)"),
    Command("pairs.range", "v", "Range", "Mark all rows that the cursor passes, until v or escape."),
    Command("pairs.mark-all", "asterisk", "Mark all", "Mark every pair that is listed, or take all marks away."),
    Command("pairs.accept-all", "A", "Accept all", "Accept every pair that is listed."),
    Command("pairs.reject-all", "R", "Reject all", "Reject every pair that is listed."),
    Command("pairs.undo", "u", "Undo", "Take back the latest change, whatever it was, also of a former sitting."),
    Command("pairs.redo", "ctrl+r,U", "Redo", "Do again what was undone last."),
    Command("pairs.search", "slash", "Search", "List pairs by words, status:, tag:, flag:, source:, tokens> and more."),
    Command("pairs.leave", "escape", "Leave", "The line, the range, the marks, the query: one after the other."),
    Command("pairs.status", "f", "Filter", "List pending, accepted, rejected, all pairs in turn."),
    Command("pairs.sort", "S", "Sort", "By length, source, status, age in turn, and as they were added."),
    Command("pairs.dataset", "d", "Dataset", "Choose the dataset."),
    Command("pairs.import", "i", "Import", "Bring in a JSONL, JSON, CSV or Parquet file.", "import_file", footer=True),
    Command(
        "pairs.import-dataset", "I", "Import a dataset", "Bring in a Hugging Face dataset, of the hub or in a folder."
    ),
    Command("pairs.export", "o", "Export", "Write pairs of the dataset to a file or a dataset folder.", "export_file"),
    Command("pairs.report", "w", "Last import", "What the last import brought, and every row that it skipped."),
    Command("pairs.check", "C", "Check", "Look for duplicates, leaks, secrets and more; what is found becomes flags."),
    Command("pairs.flags", "F", "Flags", "What the checks found of this pair, and where near-duplicates begin."),
    Command("pairs.read", "enter", "Read", "Go to the pair's full text; escape comes back."),
    Command("pairs.changes", "c", "Changes", "What was changed in the pair since it was imported, and back."),
    Command("pairs.history", "h", "History", "Each change of the pair with its time, and back."),
    Command("pairs.read-down", "J", "Scroll down", "Scroll the pair's text down.", "scroll_reading(1)"),
    Command("pairs.read-up", "K", "Scroll up", "Scroll the pair's text up.", "scroll_reading(-1)"),
    Command("pairs.seen", "m", "As the model", "See the pair as the model sees it: every token, which are trained."),
    Command("pairs.recipe", "T", "Recipe", "Choose the recipe by which pairs are shown as the model sees them."),
    Command("pairs.overview", "O", "Overview", "Lengths, counts, variety of the dataset, and what it has too much of."),
    # What a model proposes, and choosing between two answers.
    Command("pairs.prefer", "P", "Prefer", "Choose the better of two answers, pair by pair, of those that are listed."),
    Command("pairs.sample", "M", "Two samples", "Have a model answer the marked prompts twice, else this one."),
    Command("pairs.draft", "D", "Draft", "Have a model draft questions and answers from an index's passages."),
)

PREFER = (
    Command("prefer.left", "left,h", "Left", "The left answer is the better one.", "judge('left')", footer=True),
    Command("prefer.right", "right,l", "Right", "The right answer is the better one.", "judge('right')", footer=True),
    Command("prefer.edit", "e", "Edit", "Make the better answer better still; saving it chooses it.", footer=True),
    Command(
        "prefer.both-bad", "b", "Both bad", "Neither is to be learned: rejected.", "neither('both-bad')", footer=True
    ),
    Command(
        "prefer.equal", "space", "Equal", "Neither is better: rejected, there is nothing to learn.", "neither('equal')"
    ),
    Command("prefer.skip", "s", "Skip", "Leave it pending; it comes again after the others."),
    Command("prefer.undo", "u", "Undo", "Take back the latest change, and go back to its pair."),
    Command("prefer.redo", "ctrl+r,U", "Redo", "Do again what was undone last."),
    Command("prefer.next", "j,down", "Next", "The next pair, decided or not.", "step(1)"),
    Command("prefer.previous", "k,up", "Before", "The pair before.", "step(-1)"),
    Command("prefer.scroll-down", "J", "Scroll down", "Scroll both answers down.", "scroll_answers(1)"),
    Command("prefer.scroll-up", "K", "Scroll up", "Scroll both answers up.", "scroll_answers(-1)"),
    Command("prefer.save", "ctrl+s", "Save", "Keep the answer as it is edited, and choose it."),
    Command("prefer.leave", "escape", "Back", "Leave the edit; back to the pairs."),
)

LIBRARY = (
    Command("library.add", "a", "Add", "Index a folder or a file: a new index, or into one that exists.", footer=True),
    Command("library.update", "u", "Update", "Read what changed; go on with what was stopped.", footer=True),
    Command("library.search", "slash", "Search", "See what retrieval finds for a question, and why.", footer=True),
    Command("library.view", "v", "Next view", "Documents, search, messages in turn.", footer=True),
    Command("library.stop", "s", "Stop", "Stop indexing; what is embedded is kept, and u goes on."),
    Command(
        "library.save-test", "t", "Save a test", "Keep the question with this hit as its right passage.", "save_test"
    ),
    Command("library.tests", "e", "Tests", "The retrieval tests: list, delete, evaluate them.", "open_tests"),
    Command("library.leave", "escape", "Back", "From the hits to the question, to the documents, to the indexes."),
)

CHAT = (
    Command("chat.new", "ctrl+n,n", "New", "Begin a new chat with the same hybrid.", footer=True),
    Command("chat.adapter", "ctrl+t,m", "Adapter", "Choose the adapter: a run that has one, or none.", footer=True),
    Command("chat.index", "ctrl+l,l", "Index", "Choose the index that answers are drawn from, or none.", footer=True),
    Command("chat.chats", "ctrl+o", "Chats", "Open, rename, delete the chats of the past.", footer=True),
    Command("chat.search", "f8,slash", "Search chats", "Find words in all chats, and go to where they were said."),
    Command("chat.stop", "escape", "Stop", "Stop the answer, what came of it is kept; or go back from the sources."),
    Command("chat.sources", "ctrl+s,s", "Sources", "Go to the passages of the current answer, and back."),
    Command("chat.sentence", "full_stop", "Next sentence", "What carries the answer's next sentence.", "sentence(1)"),
    Command("chat.sentence-back", "comma", "Sentence before", "And the one before.", "sentence(-1)"),
    Command("chat.open", "o,enter", "Open", "The document, at the passage that carries the sentence.", "open_passage"),
    Command("chat.write", "i", "Write", "Go to the input; escape leaves it."),
    Command(
        "chat.settings", "f9,t", "Settings", "The system prompt and the sampling of this chat, and presets of them."
    ),
    # Several hybrids side by side.
    Command("chat.arms", "f4,a", "Four arms", "Ask base, tuned, rag and hybrid side by side; again: only this pane."),
    Command("chat.add-pane", "f2,plus", "Add a pane", "Ask one more hybrid, up to four, side by side."),
    Command("chat.remove-pane", "f3,minus", "Remove the pane", "Ask its hybrid no more; what it answered is kept."),
    Command("chat.next-pane", "f6,right", "Next pane", "Go to the next pane.", "pane(1)"),
    Command("chat.previous-pane", "left", "Pane before", "Go to the pane before.", "pane(-1)"),
    # The current answer.
    Command("chat.regenerate", "f5,r", "Answer again", "Another answer to the question; the earlier ones are kept."),
    Command("chat.earlier-answer", "left_square_bracket", "Earlier answer", "The answer before this one.", "other(-1)"),
    Command("chat.later-answer", "right_square_bracket", "Later answer", "The answer after this one.", "other(1)"),
    Command("chat.edit", "e", "Edit the question", "Ask it in other words, in a branch; this chat stays as it is."),
    Command("chat.branch", "f", "Branch", "A copy of the chat up to here, that goes its own way."),
    Command("chat.copy", "y", "Copy", "Copy the current answer."),
    Command("chat.copy-question", "Y", "Copy the question", "Copy the question of the current answer."),
    Command("chat.copy-code", "C", "Copy code", "Copy a block of code of the current answer."),
    Command("chat.export", "E", "Export", "Write the chat to a Markdown file, with its sources."),
    # Pairs to learn from.
    Command("chat.better", "f7,b", "Better", "This answer is better than the others: preference pairs of the dataset."),
    Command("chat.correct", "c", "Correct", "Edit the answer; a pair of the dataset teaches it."),
    Command("chat.undo", "u", "Undo", "Take back the pairs made from this question."),
    Command("chat.dataset", "d", "Dataset", "Choose the dataset that pairs go to."),
)

COMPARE = (
    Command("compare.new", "n", "New", "Ask the arms of a hybrid the same questions.", footer=True),
    Command("compare.view", "v", "Next view", "Verdict, questions, answers in turn.", footer=True),
    Command("compare.filter", "f", "Filter", "The questions of each category in turn.", "filter(1)", footer=True),
    Command("compare.pair", "P", "Make a pair", "Edit the current answer; the next run learns it.", footer=True),
    Command("compare.better", "b", "Better", "Mark the current answer as the better one of a preference pair."),
    Command("compare.worse", "w", "Worse", "Mark the current answer as the worse one of a preference pair."),
    Command("compare.marking", "d", "Marking", "Mark words of the reference, or what differs."),
    Command("compare.arm-left", "h", "Answer left", "The answer of the arm before.", "arm(-1)"),
    Command("compare.arm-right", "l", "Answer right", "The answer of the next arm.", "arm(1)"),
    Command("compare.filter-back", "F", "Filter back", "The category before.", "filter(-1)"),
    Command("compare.search", "slash", "Search", "List the questions with these words."),
    Command("compare.leave", "escape", "Back", "From the answers to the questions, to the comparisons."),
    Command("compare.versus", "c", "Versus", "Set it against an earlier comparison: what changed."),
    Command("compare.conclude", "u", "Conclude", "Make the verdict again of what is answered by now."),
    Command("compare.stop", "s", "Stop", "Stop asking; what is answered is kept, and r goes on."),
    Command("compare.resume", "r", "Resume", "Go on where it was stopped; nothing is asked twice."),
    Command("compare.import", "i", "Import", "Bring in a file of questions.", "import_questions"),
    Command("compare.export", "o", "Export", "Write the verdict to a file: Markdown, HTML, JSON."),
    Command("compare.delete", "x", "Delete", "Remove the comparison and its answers, for good."),
    Command("compare.delete-set", "", "Delete a question set", "Comparisons keep the questions that they asked."),
)

SCOPES = {
    "app": APP,
    "lists": LISTS,
    "home": HOME,
    "pairs": PAIRS,
    "prefer": PREFER,
    "training": TRAINING,
    "library": LIBRARY,
    "chat": CHAT,
    "compare": COMPARE,
}
BY_ID = {command.id: command for commands in SCOPES.values() for command in commands}


def bindings(scope: str) -> list[BindingType]:
    """The keys of a scope, for the `BINDINGS` of a screen, a list or the app."""
    return [
        Binding(
            command.keys,
            command.does,
            command.title,
            show=command.footer,
            id=command.id,
            tooltip=command.help,
            priority=command.id == "app.quit",
        )
        for command in SCOPES[scope]
        if command.keys
    ]
