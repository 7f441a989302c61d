"""The tasks that programs are trained on, by name, and `Task` for your own.

Eight synthetic ones with known answers (`sort`, `reverse`, `hist`, `double_hist`, `most_freq`, `dyck1`, `dyck2`,
`induction`), and five on language, which read files that you have (`conll`, `trec`, `mr`, `subj`, `ag_news`; also
`wikiann`); sixty bundled questions (`questions`) need no file. arXiv 2306.01128.
"""

from learnt.programs.task import Task as Task
from learnt.programs.task_domain import Domain as Domain
from learnt.programs.task_split import Pairs as Pairs
from learnt.programs.task_split import Split as Split
from learnt.programs.tasks_dyck import dyck1 as dyck1
from learnt.programs.tasks_dyck import dyck2 as dyck2
from learnt.programs.tasks_ner import conll as conll
from learnt.programs.tasks_ner import wikiann as wikiann
from learnt.programs.tasks_sample import questions as questions
from learnt.programs.tasks_sequences import double_hist as double_hist
from learnt.programs.tasks_sequences import hist as hist
from learnt.programs.tasks_sequences import induction as induction
from learnt.programs.tasks_sequences import most_freq as most_freq
from learnt.programs.tasks_sequences import reverse as reverse
from learnt.programs.tasks_sequences import sort as sort
from learnt.programs.tasks_text import ag_news as ag_news
from learnt.programs.tasks_text import mr as mr
from learnt.programs.tasks_text import subj as subj
from learnt.programs.tasks_text import trec as trec

SYNTHETIC = (reverse, sort, hist, double_hist, most_freq, dyck1, dyck2, induction)
