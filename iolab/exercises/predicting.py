"""A prediction that is made before the run and shown beside what was measured."""


class Prediction:
    """A question with lettered choices and one answer; write it as `mine` and run the cell, then run on."""

    def __init__(self, question: str, choices: dict[str, str], mine: str = "?") -> None:
        if mine != "?" and mine not in choices:
            raise ValueError(f"mine must be one of {', '.join(choices)}, or ? for none yet, not {mine!r}")
        self.question, self.choices, self.mine = question, choices, mine

    def __repr__(self) -> str:
        lines = [self.question, *(f"  {letter}  {choice}" for letter, choice in self.choices.items())]
        if self.mine == "?":
            lines.append(
                f'Your prediction: none yet. Put {", ".join(self.choices)} in place of the "?" and run this cell.'
            )
        else:
            lines.append(f"Your prediction: {self.mine}  {self.choices[self.mine]}")
        return "\n".join(lines)

    def against(self, measured: str, because: str) -> None:
        """Print the prediction beside what was measured (a letter of the choices), and the reason."""
        if measured not in self.choices:
            raise ValueError(f"measured must be one of {', '.join(self.choices)}, not {measured!r}")
        said = "nothing yet" if self.mine == "?" else f"{self.mine}  {self.choices[self.mine]}"
        print(f"predicted: {said}")
        print(f"measured:  {measured}  {self.choices[measured]}")
        print(because)
