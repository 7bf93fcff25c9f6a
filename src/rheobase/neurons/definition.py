"""A neuron's arguments and its step are checked when it is made, so that mistakes surface where they are."""

import inspect

from rheobase.names import nearest

BASE_FIRST = "__init__ must call super().__init__(surrogate) before it sets anything."


class Definition(type):
    """The type of neuron classes."""

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's arguments, for help() and inspect.signature."""
        own = inspect.signature(cls.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:])

    def __call__(cls, *args, **kwargs):
        known = inspect.signature(cls.__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            for name in kwargs:
                if name not in known:
                    raise TypeError(f"{cls.__name__}: unknown argument {name!r}{nearest(name, list(known)[1:])}")
        try:
            neuron = super().__call__(*args, **kwargs)
        except AttributeError as error:
            if "before Module.__init__() call" not in str(error):
                raise
            raise TypeError(f"{cls.__name__}: {BASE_FIRST}") from error
        if "_modules" not in vars(neuron) or not hasattr(neuron, "surrogate"):
            raise TypeError(f"{cls.__name__}: {BASE_FIRST}")
        if neuron.fused:
            neuron.program()
        return neuron
