"""A power cut: a storage that keeps what was written before it."""

from typing import Any

import optuna


class PowerCutError(BaseException):
    """What no code can handle."""


class Power:
    """Is gone for good after so many uses; `None` means never."""

    def __init__(self, n_uses: int | None = None) -> None:
        self._left = n_uses
        self.used = 0

    def use(self) -> None:
        self.used += 1
        if self._left is not None:
            if self._left <= 0:
                raise PowerCutError
            self._left -= 1


class FragileStorage(optuna.storages.InMemoryStorage):
    """Keeps what was written before the power was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.power = Power()

    def create_new_trial(self, *args: Any, **kwargs: Any) -> int:
        self.power.use()
        return super().create_new_trial(*args, **kwargs)

    def set_trial_param(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_param(*args, **kwargs)

    def set_trial_state_values(self, *args: Any, **kwargs: Any) -> bool:
        self.power.use()
        return super().set_trial_state_values(*args, **kwargs)

    def set_trial_intermediate_value(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_intermediate_value(*args, **kwargs)

    def set_trial_user_attr(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_user_attr(*args, **kwargs)

    def set_trial_system_attr(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_system_attr(*args, **kwargs)

    def set_study_user_attr(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_study_user_attr(*args, **kwargs)
