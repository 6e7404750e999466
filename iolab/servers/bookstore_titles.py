"""What the bookstore sells: books that belong to everyone, with their real authors and years, and numbers of our own.

    9 7 9 9 0 0 0 0 0 0 0 1 C     weights 1, 3, 1, 3, ...; the sum with the check digit C is a multiple of 10
    └─ 979-9 ─┘     └ nth ┘

Two facts that surprise:
* A book from before 1970 has no ISBN: an edition of it may have one. So the numbers here are made up, in 979-9, which
  the ISBN agency has opened to nobody (2025); their check digits are right. Prices are made up, too.
* The check digit finds every single wrong digit, but not every two that changed places: 1 and 6 next to each other may
  be swapped unseen, because 1 + 3*6 and 6 + 3*1 differ by 10.

ISO 2108; the years are those of the first edition, or of its first volume.
"""

from typing import NamedTuple


class Title(NamedTuple):
    """A book in the catalogue; the price in cents."""

    isbn: str
    title: str
    author: str
    year: int
    price_cents: int


def isbn_13(first_twelve: str) -> str:
    """The number with its check digit."""
    weighted = sum(int(digit) * (1, 3)[position % 2] for position, digit in enumerate(first_twelve))
    return f"{first_twelve}{-weighted % 10}"


_BOOKS = (
    ("The Divine Comedy", "Dante Alighieri", 1321, 2190),
    ("The Prince", "Niccolò Machiavelli", 1532, 895),
    ("Essays", "Michel de Montaigne", 1580, 2450),
    ("Don Quixote", "Miguel de Cervantes", 1605, 1895),
    ("Robinson Crusoe", "Daniel Defoe", 1719, 1045),
    ("Gulliver's Travels", "Jonathan Swift", 1726, 1095),
    ("Candide", "Voltaire", 1759, 795),
    ("The Wealth of Nations", "Adam Smith", 1776, 2275),
    ("Dream of the Red Chamber", "Cao Xueqin", 1791, 2495),
    ("Faust", "Johann Wolfgang von Goethe", 1808, 995),
    ("Pride and Prejudice", "Jane Austen", 1813, 1140),
    ("Frankenstein", "Mary Shelley", 1818, 985),
    ("Dead Souls", "Nikolai Gogol", 1842, 1330),
    ("The Count of Monte Cristo", "Alexandre Dumas", 1844, 1965),
    ("Jane Eyre", "Charlotte Brontë", 1847, 1215),
    ("Wuthering Heights", "Emily Brontë", 1847, 1125),
    ("The Scarlet Letter", "Nathaniel Hawthorne", 1850, 945),
    ("Moby-Dick", "Herman Melville", 1851, 1590),
    ("Walden", "Henry David Thoreau", 1854, 1075),
    ("The Laws of Thought", "George Boole", 1854, 1755),
    ("Leaves of Grass", "Walt Whitman", 1855, 1165),
    ("Madame Bovary", "Gustave Flaubert", 1857, 1085),
    ("On the Origin of Species", "Charles Darwin", 1859, 1620),
    ("Great Expectations", "Charles Dickens", 1861, 1280),
    ("Les Misérables", "Victor Hugo", 1862, 2085),
    ("Fathers and Sons", "Ivan Turgenev", 1862, 1035),
    ("Alice's Adventures in Wonderland", "Lewis Carroll", 1865, 865),
    ("Crime and Punishment", "Fyodor Dostoevsky", 1866, 1490),
    ("Little Women", "Louisa May Alcott", 1868, 1195),
    ("War and Peace", "Leo Tolstoy", 1869, 2345),
    ("Twenty Thousand Leagues Under the Seas", "Jules Verne", 1870, 1255),
    ("Middlemarch", "George Eliot", 1871, 1685),
    ("Anna Karenina", "Leo Tolstoy", 1878, 1725),
    ("A Doll's House", "Henrik Ibsen", 1879, 815),
    ("The Portrait of a Lady", "Henry James", 1881, 1375),
    ("Flatland", "Edwin A. Abbott", 1884, 775),
    ("Adventures of Huckleberry Finn", "Mark Twain", 1884, 1115),
    ("Strange Case of Dr Jekyll and Mr Hyde", "Robert Louis Stevenson", 1886, 835),
    ("The Picture of Dorian Gray", "Oscar Wilde", 1890, 1055),
    ("The Time Machine", "H. G. Wells", 1895, 825),
    ("Dracula", "Bram Stoker", 1897, 1235),
    ("Heart of Darkness", "Joseph Conrad", 1899, 855),
)

TITLES = tuple(Title(isbn_13(f"9799{number:08}"), *book) for number, book in enumerate(_BOOKS, 1))
